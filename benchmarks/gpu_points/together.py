"""Point 8: judge and trainer on one card over HTTP: memory at each stage, and whether a job's is free once it is done."""

import time
from importlib.util import find_spec
from pathlib import Path

import torch
from judge_sides.checkpoint import write_checkpoint

from .device import GIB, give_back, seconds_of
from .llama import LLAMA_1B, TINY
from .records import CannotRun, Notebook, Setting
from .services import Service, ServiceEnded, serving
from .small_run import job_request, write_base
from .stepping import trained_on

NEEDED = ("fastapi", "uvicorn", "prometheus_client", "prometheus_fastapi_instrumentator", "pydantic_settings")
NEEDED_BY_JUDGE = ("msgspec", "cachetools")
TEXTS = ("What is zinc, and what is it used for?", "Zinc is a metal; it keeps steel from rusting.", "Nobody knows what it is.")
POLL_SECONDS = 0.1
FREE_AFTER_SECONDS = 10.0


def together(setting: Setting, notebook: Notebook) -> None:
    """Load both, judge, train, and judge again. Raises CannotRun where the web framework is not installed."""
    absent = [name for name in (*NEEDED, *NEEDED_BY_JUDGE) if find_spec(name) is None]
    if absent:
        raise CannotRun(f"The services need {', '.join(absent)}, which this Python does not have.")
    folder = Path(setting.folder)
    write_checkpoint(folder / "judge", "2x32" if setting.tiny else "24x1024", TEXTS)
    size = 8 if setting.tiny else 256
    base = write_base(folder, TINY if setting.tiny else LLAMA_1B, setting.device, pairs=16, answer=size)
    give_back(setting.device)
    request = job_request(folder, "job", base, batch_size=8, train_epochs=2, micro_batch_tokens=16 * size)
    judge = {"MODEL": str(folder / "judge" / "pairrm"), "DEVICE": setting.device}
    common = {
        "SPARRING_RUNS_DIR": str(folder),
        "SPARRING_MODEL_ROOTS": str(folder),
        "SPARRING_TRAINER_DIR": str(folder / "jobs"),
    }
    common["SPARRING_TRAINER_DEVICE"] = trained_on(setting.device)
    note = Memory(setting.device, notebook)
    note.stage("nothing runs")
    with serving("judge", {f"SPARRING_JUDGE_{name}": value for name, value in judge.items()}, folder) as judging:
        note.watched.append(judging)
        note.stage("the judge is loaded")
        notebook.add(judging_seconds_alone=_judge(judging, setting))
        note.stage("the judge has judged")
        with serving("trainer", common, folder) as training:
            note.watched.append(training)
            before = note.stage("the trainer waits")
            training.ask("/v1/jobs/job", request.model_dump(mode="json"), "PUT")
            most, states = before, 0
            while (status := training.ask("/v1/jobs/job"))["state"] == "running":
                most, states = max(most, note.used_gib()), states + 1
                time.sleep(POLL_SECONDS)
            at_once = note.stage("the job is done")
            if status["state"] != "succeeded":
                raise ServiceEnded(f"The job {status['state']}: {status['error']}")
            freed = _seconds_until_free(note, before)
            notebook.add(
                job_most_gib=round(most - before, 3),
                polls=states,
                left_when_done_gib=round(at_once - before, 3),
                free_when_done=at_once - before < 0.25 * max(most - before, 0.01),
                seconds_until_free=freed,
                judging_seconds_after=_judge(judging, setting),
            )


def _judge(judging: Service, setting: Setting) -> float:
    """Seconds of one request; a second one is no cache hit, as its texts are its own."""
    stamp = time.monotonic_ns()
    items = [{"prompt": f"{TEXTS[0]} {stamp} {at}", "candidates": list(TEXTS[1:])} for at in range(2 if setting.tiny else 64)]
    return seconds_of("cpu", lambda: judging.ask("/v1/rank", {"items": items}))


def _seconds_until_free(note: "Memory", before: float) -> float | None:
    """How long after the job's end its memory is back, to a tenth of a GiB; None if it is not after ten seconds."""
    began = time.monotonic()
    while (waited := time.monotonic() - began) < FREE_AFTER_SECONDS:
        if note.used_gib() - before < 0.1:
            return round(waited, 1)
        time.sleep(POLL_SECONDS)
    return None


class Memory:
    """Memory of the whole card, or on a CPU of the services that are `watched` and what they started."""

    def __init__(self, device: str, notebook: Notebook) -> None:
        self.watched: list[Service] = []
        self._device = device
        self._notebook = notebook
        self._stages: dict[str, float] = {}

    def stage(self, name: str) -> float:
        """Note what is used now under a name."""
        self._stages[name] = round(self.used_gib(), 3)
        self._notebook.add(used_gib=self._stages)
        return self._stages[name]

    def used_gib(self) -> float:
        """GiB in use now, this process's own context on the card included."""
        if self._device == "cuda":
            free, total = torch.cuda.mem_get_info()
            return (total - free) / GIB
        return sum(map(_resident_bytes, _descendants([one.process.pid for one in self.watched]))) / GIB


def _descendants(roots: list[int]) -> list[int]:
    """The processes and all that they started."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    found = list(roots)
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return found


def _resident_bytes(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * 4096
    except OSError:  # it ended meanwhile
        return 0
