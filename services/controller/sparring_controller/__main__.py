"""`python -m sparring_controller`: the runs API with its reconciler."""

import logging
import sys

from sparring_controller.settings import read_settings
from sparring_shared.errors import InvalidInput, fail
from sparring_shared.http import serve


def main() -> int:
    """Serve until SIGTERM or Ctrl-C; 2 with one sentence for settings that cannot work."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = read_settings()
        # Heavy imports come once the settings are known to be good.
        from sparring_controller.api.app import create_app

        app = create_app(settings)
    except InvalidInput as error:
        return fail(error.message)
    return serve(app, "controller", settings.controller_host, settings.controller_port)


if __name__ == "__main__":
    sys.exit(main())
