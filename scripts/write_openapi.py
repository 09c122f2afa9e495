"""Write the OpenAPI file of each service, as its real application describes itself, to a folder (`make openapi`)."""

import json
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from fastapi import FastAPI

CHECKED_IN = Path(__file__).resolve().parent.parent / "tests" / "contract" / "openapi"


def applications(folder: Path) -> dict[str, FastAPI]:
    """The four applications, with nothing loaded; of the generator only our own routes, vLLM documents its own."""
    os.environ |= {"SPARRING_RUNS_DIR": str(folder), "SPARRING_REDIS_URL": "redis://127.0.0.1:6379/0"}
    from sparring_controller.api.app import create_app as controller
    from sparring_controller.settings import read_settings
    from sparring_generator.policy import ServedPolicy
    from sparring_generator.routes import policy_routes
    from sparring_judge.engines.by_name import load_engine
    from sparring_judge.queue.background_judge import BackgroundJudge
    from sparring_judge.service.app import create_app as judge
    from sparring_judge.settings import JudgeSettings
    from sparring_shared.settings import FolderSettings
    from sparring_trainer.service.app import create_app as trainer
    from sparring_trainer.settings import TrainerSettings

    judge_settings = JudgeSettings(engine="fake")
    fake = BackgroundJudge(lambda: load_engine(judge_settings), judge_settings)
    generator = FastAPI(title="Sparring generator", version="1")
    # The routes ask for the policy only when they are called.
    generator.include_router(policy_routes(cast(ServedPolicy, None)))
    return {
        "generator": generator,
        "judge": judge(judge_settings, fake),
        "trainer": trainer(TrainerSettings(dir=folder / "jobs"), FolderSettings()),
        "controller": controller(read_settings()),
    }


def write(target: Path) -> None:
    """One JSON file per service."""
    target.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        for name, app in applications(Path(folder)).items():
            text = json.dumps(app.openapi(), indent=1, sort_keys=True, ensure_ascii=False)
            (target / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else CHECKED_IN)
