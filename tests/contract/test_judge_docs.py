"""The commands and programs of docs/judge.md, run as they stand there but for the address."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import ROOT
from skips import Skip

PAGE = (ROOT / "docs" / "judge.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def route(command: str) -> str:
    found = re.search(r"localhost:8002(/[\w/]+)", command)
    assert found is not None, command
    return found[1]


@pytest.mark.skipif(shutil.which("curl") is None, reason=Skip.NO_CURL)
@pytest.mark.parametrize("command", blocks("bash"), ids=route)
def test_the_command_is_answered(judge_url: str, command: str) -> None:
    program = "set -o pipefail\n" + command.replace("localhost:8002", judge_url.removeprefix("http://"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, env=os.environ | {"PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines() if "x-ndjson" in command else [done.stdout]
    assert lines and all(json.loads(line) for line in lines)


def test_every_route_has_its_command() -> None:
    from sparring_judge.engines.by_name import load_engine
    from sparring_judge.queue.background_judge import BackgroundJudge
    from sparring_judge.service.app import create_app
    from sparring_judge.settings import JudgeSettings

    settings = JudgeSettings(engine="fake")
    app = create_app(settings, BackgroundJudge(lambda: load_engine(settings), settings))
    shown = {route(command) for command in blocks("bash")}
    missing = app.openapi()["paths"].keys() - shown
    # Other names of /score and /rerank; health is every service's.
    assert missing == {"/v1/score", "/v2/rerank", "/healthz", "/readyz"}


@pytest.mark.parametrize("program", [one for one in blocks("python") if "print(" in one], ids=["waits", "awaits"])
def test_the_program_runs(judge_url: str, program: str) -> None:
    code = program.replace("http://localhost:8002", judge_url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "win_rates" in done.stdout or done.stdout.startswith("demo-judge\n(")
