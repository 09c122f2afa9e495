"""`python -m sparring_generator`: wrong settings end in one sentence and exit code 2 before anything heavy is imported.

Exit code 0 is an end that was asked for (SIGTERM, Ctrl-C; 128 + the signal's number before it serves), `engine.ENGINE_DIED` one
that vLLM's engine brought about.
"""

import os
import sys

from sparring_generator.settings import read_settings, vllm_environment, without_gpu
from sparring_shared.errors import SparringError, fail
from sparring_shared.http import port_is_free


def main() -> int:
    """Start the generator; returns its exit code."""
    try:
        settings = read_settings()
        if not port_is_free(settings.host, settings.port):
            return fail(
                f"port {settings.port} on {settings.host} is in use; "
                "stop what listens there or set SPARRING_GENERATOR_PORT to another."
            )
        from sparring_generator.hub import model_folder

        folder = model_folder(settings.model)
        os.environ.update(vllm_environment(settings, cpu=without_gpu()))
        from sparring_generator.policy import read_base

        base = read_base(folder, trust_remote_code=settings.trust_remote_code)
        from sparring_generator.engine import serve

        return serve(settings, base)
    except SparringError as error:
        return fail(error.message)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
