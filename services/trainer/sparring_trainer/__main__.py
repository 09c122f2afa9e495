"""Starts the trainer service, or on a machine with a rank above 0 what joins its jobs: `python -m sparring_trainer`."""

import sys

from pydantic import ValidationError

from sparring_shared.errors import fail
from sparring_shared.run_config import explain
from sparring_shared.settings import FolderSettings
from sparring_trainer.settings import TrainerSettings


def main() -> int:
    """Read the settings, then serve until SIGTERM; exit code 2 if a setting is wrong or the port is in use."""
    try:
        settings, folders = TrainerSettings(), FolderSettings()
    except ValidationError as error:
        return fail(f"a setting SPARRING_TRAINER_* does not fit: {explain(error.errors())}")
    from sparring_shared.http import serve

    if settings.machine_rank > 0:
        from sparring_trainer.service.joining import create_joining_app

        app = create_joining_app(settings)
    else:
        from sparring_trainer.service.app import create_app

        app = create_app(settings, folders)
    return serve(app, "trainer", settings.host, settings.port)


if __name__ == "__main__":
    sys.exit(main())
