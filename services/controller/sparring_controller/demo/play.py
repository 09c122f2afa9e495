"""The demo: three SPPO rounds and two INPO rounds from one base, through the real services and the real API.

Interrupted, it goes on: `demo.json` holds a key under which its runs are made, so making them again finds them.
"""

import json
import time
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from sparring_controller.demo import small_world
from sparring_controller.demo.report import DemoReport, DemoRun, example_of, example_table, write_report
from sparring_controller.demo.shortened import shortened
from sparring_controller.local import foreground
from sparring_controller.local.services import LocalServices
from sparring_controller.rounds.prompts.run_prompts import read_prompts
from sparring_controller.terminal.round_tables import notes, rich_table, round_reports
from sparring_controller.terminal.runs_client import RunsClient
from sparring_controller.terminal.watching import watch
from sparring_shared.artifacts import replacing, write_json
from sparring_shared.errors import Broken, Conflict, InvalidInput
from sparring_shared.records import Record
from sparring_shared.run_config import RunConfig, read_run_config
from sparring_shared.wire.controller import RunStatus

RUNS = {"sppo": "sppo-paper", "inpo": "inpo-iclr"}
"""The demo's runs, and the recipes that they are short forms of."""
_PROMPTS = 2600
_SEED = 1


class DemoOptions(Record):
    """What the operator brings along; None is the demo's own."""

    model: str | None
    judge: str | None
    prompts: str | None
    folder: Path


def play_demo(options: DemoOptions, console: Console) -> None:
    """Play both runs and write the report. Raises InvalidInput for a bad config or model, Broken for a run that failed."""
    began = time.monotonic()
    configs = {name: demo_config(name, options) for name in RUNS}
    if options.prompts is None:
        write_prompts(prompts_file(options.folder))
    read_prompts(configs["sppo"].prompts)
    for name, recipe in RUNS.items() if options.model else ():
        console.print(_shortened(configs[name], recipe), soft_wrap=True, highlight=False)
    local, base = LocalServices(options.folder), configs["sppo"]
    with foreground.services(local, console, base.policy.model, base.judge, free_ports=True) as endpoints:
        client = RunsClient(endpoints.controller)
        try:
            played = dict(zip(RUNS, _runs(client, options.folder, configs, console), strict=True))
        except KeyboardInterrupt:
            console.print("The demo is stopped and nothing is lost; give the same command again to let it go on.")
            raise
    runs = {
        name: DemoRun(run_id=run.run_id, config=run.known_config, rounds=tuple(round_reports(run)))
        for name, run in played.items()
    }
    example = example_of(options.folder, played["sppo"])
    console.print(example_table(example))
    paths = write_report(options.folder, DemoReport(runs=runs, example=example, seconds=time.monotonic() - began))
    _state(options.folder).unlink(missing_ok=True)
    console.print(f"Written: {', '.join(map(str, paths))}", soft_wrap=True, highlight=False)


def demo_config(name: str, options: DemoOptions) -> RunConfig:
    """The config of one of the two runs: the demo's own, or that for real models, with what the operator brings put in."""
    config = read_run_config(Path("configs") / f"demo-{'real-' if options.model else ''}{name}.toml")
    changes = config.model_dump()
    changes["policy"]["model"] = options.model or config.policy.model
    changes["prompts"]["source"] = options.prompts or str(prompts_file(options.folder))
    if options.judge is not None:
        changes["judge"] |= {"engine": None, "model": options.judge}
    # Only the demo's own prompts have answers that can be checked.
    changes["evaluation"]["checker"] = None if options.prompts else "small-world"
    return RunConfig.model_validate(changes)


def _shortened(config: RunConfig, recipe: str) -> str:
    assert config.prompts.per_round is not None, "the demo's configs say how many prompts they play"
    return shortened(config, read_run_config(Path("configs") / f"{recipe}.toml"), config.prompts.per_round)


def prompts_file(folder: Path) -> Path:
    """Where the demo's own prompts lie."""
    return folder / "prompts.jsonl"


def write_prompts(path: Path) -> None:
    """Write the small world's self-play prompts, unless they are there."""
    if path.is_file():
        return
    lines = (json.dumps({"prompt": prompt}) for prompt in small_world.prompts(small_world.Split.SELFPLAY, _PROMPTS, _SEED))
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _runs(client: RunsClient, folder: Path, configs: dict[str, RunConfig], console: Console) -> list[RunStatus]:
    """Both runs made under the key of this demo, then played in turn. A key of other configs gives way to a new one."""
    key = _key(folder)
    try:
        made = [client.create(config, f"{key}-{name}") for name, config in configs.items()]
    except Conflict:
        key = _key(folder, renew=True)
        made = [client.create(config, f"{key}-{name}") for name, config in configs.items()]
    return [_played(client, run.run_id, f"{key}-{name}-rounds", console) for run, name in zip(made, configs, strict=True)]


def _played(client: RunsClient, run_id: str, key: str, console: Console) -> RunStatus:
    """Play a run to its end, or let it go on where it stopped, and show its table."""
    status = client.run(run_id)
    if status.requested_rounds:
        console.print(f"Going on with {run_id}: {status.completed_rounds} of {status.requested_rounds} rounds are done.")
    client.play(run_id, status.known_config.rounds, key)
    client.resume(run_id)
    final = watch(client, run_id, console)
    if final.status != "done":
        raise Broken(
            f"{run_id} is {final.status}: {final.error or 'it did not come to its end'} Then give the same command again."
        )
    reports = round_reports(final)
    console.print(rich_table(f"{run_id} ({final.known_config.algorithm.name})", reports))
    for note in notes(reports):
        console.print(note, soft_wrap=True, highlight=False)
    return final


def _state(folder: Path) -> Path:
    return folder / "demo.json"


def _key(folder: Path, *, renew: bool = False) -> str:
    """The key of the demo that is under way, or of a new one."""
    path = _state(folder)
    if path.is_file() and not renew:
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["key"])
        except (ValueError, KeyError):
            raise InvalidInput(f"{path} is damaged; remove it to begin the demo anew.") from None
    key = uuid4().hex
    write_json(path, {"key": key})
    return key
