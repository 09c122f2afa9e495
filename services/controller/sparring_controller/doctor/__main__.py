"""`python -m sparring_controller.doctor [CONFIG] [--json]`: by the SPARRING_* variables alone, as inside a container."""

import argparse
import os
import sys
from pathlib import Path

from sparring_controller.doctor.checks import all_checks, exit_code
from sparring_controller.doctor.examination import as_json, examine
from sparring_controller.doctor.installation import Installation, asked_services
from sparring_controller.settings import read_settings
from sparring_shared.errors import InvalidInput, fail
from sparring_shared.run_config import read_run_config


def main() -> int:
    """Look, tell; 1 if anything is wrong, 2 if nothing could be looked at."""
    parser = argparse.ArgumentParser(
        prog="python -m sparring_controller.doctor", description="What keeps Sparring from working."
    )
    parser.add_argument("config", nargs="?", type=Path, help="the run config that shall be played")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        settings, config = read_settings(), read_run_config(options.config) if options.config else None
    except InvalidInput as error:
        return fail(error.message)
    here = Installation(
        settings=settings,
        redis_url=settings.redis_url,
        services=asked_services(settings, up=True),
        policy=config.policy.model if config else os.environ.get("SPARRING_GENERATOR_MODEL"),
        judge=None,  # another container has it
        config=config,
    )
    findings = examine(all_checks(here))
    print(as_json(findings) if options.json else "\n".join(f"{each.level:8}{each.name}: {each.says}" for each in findings))
    return exit_code(findings)


if __name__ == "__main__":
    sys.exit(main())
