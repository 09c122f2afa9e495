"""The command: plays scenarios one after the other; exit code 1 when one of them failed."""

import argparse
import datetime
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from chaos import runs, verdict
from chaos.play import Outcome, play
from chaos.scenarios import SHORT, WHOLE, Scenario
from chaos.table import HEAD, row
from chaos.worlds import ROOT, faketime, world
from sparring_controller.local.foreground import interruptible

ROWS = "rows.md"


def main() -> int:
    """The command line. Without --world, both worlds are played at once, each by a process of its own."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the five-minute form")
    parser.add_argument("--only", action="append", metavar="PART", help="of `name (world)`; an undisturbed one goes with it")
    parser.add_argument("--world", choices=("small", "real"), help="its scenarios alone")
    parser.add_argument("--folder", type=Path, help="where the services live and leave their logs; default: a new one")
    options = parser.parse_args()
    folder: Path = options.folder or ROOT / "runs" / "chaos" / datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    wanted = [each for each in (SHORT if options.short else WHOLE) if _wanted(each, options.only)]
    with interruptible():
        if options.world is not None:
            return _play([each for each in wanted if each.world == options.world], folder / options.world)
        worlds = list(dict.fromkeys(each.world for each in wanted))
        good = _at_once([[*sys.argv[1:], "--world", name, "--folder", str(folder)] for name in worlds])
    print("\n".join([*HEAD, *((folder / name / ROWS).read_text(encoding="utf-8").rstrip() for name in worlds)]))
    if good:
        shutil.rmtree(folder)
    return int(not good)


def _at_once(arguments: Sequence[Sequence[str]]) -> bool:
    """Whether all of these commands end well; none outlives this one."""
    children = [subprocess.Popen([sys.executable, "-m", "chaos", *each]) for each in arguments]
    try:
        codes = [child.wait() for child in children]
        return not any(codes)
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait()


def _play(scenarios: Sequence[Scenario], folder: Path) -> int:
    """The scenarios of one world, in services that are started anew only for another patience."""
    outcomes: list[Outcome] = []
    folder.mkdir(parents=True)
    (folder / ROWS).touch()
    for at, ((name, patience), some) in enumerate(groupby(scenarios, lambda each: (each.world, each.patience))):
        place, began = folder / str(at), time.monotonic()
        with world(name, place, patience) as here:
            print(f"chaos: the {name} world is up after {time.monotonic() - began:.0f} s", flush=True)
            runs.write_prompts(place)
            verdict.watch_commits(here.database)
            for scenario in some:
                outcomes.append(play(here, scenario, outcomes[0].digests if outcomes else None))
                _report(outcomes[-1], place)
                (folder / ROWS).write_text("".join(f"{row(each)}\n" for each in outcomes), encoding="utf-8")
    return int(any(outcome.wrong for outcome in outcomes))


def _wanted(scenario: Scenario, only: Sequence[str] | None) -> bool:
    if any(name.startswith("clock") for name in scenario.acts) and faketime() is None:
        print("chaos: clock steps are left out: there is no libfaketime (the package `faketime`).", flush=True)
        return False
    if not only:
        return True
    return any(part in f"{scenario.name} ({scenario.world})" or (not scenario.acts and scenario.world in part) for part in only)


def _report(outcome: Outcome, folder: Path) -> None:
    scenario = outcome.scenario
    if not outcome.wrong:
        print(f"chaos: {scenario.name} ({scenario.world}): good after {outcome.seconds:.0f} s", flush=True)
        return
    print(f"chaos: {scenario.name} ({scenario.world}, seed {scenario.seed}) FAILED; logs: {folder}/.services/logs", flush=True)
    for sentence in outcome.wrong:
        print(f"chaos:   {sentence}", flush=True)
    print(f"chaos:   done to it: {dict(outcome.acts)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
