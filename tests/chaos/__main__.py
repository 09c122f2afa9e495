"""The command: plays scenarios one after the other; exit code 1 when one of them failed."""

import argparse
import datetime
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from chaos import runs, verdict
from chaos.play import Outcome, play
from chaos.scenarios import SHORT, WHOLE, Scenario
from chaos.table import table
from chaos.worlds import ROOT, faketime, world


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the five-minute form")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="scenarios with this in `name (world)`; an undisturbed one goes with it"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder of a scenario that is good, too")
    options = parser.parse_args()
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    folder = ROOT / "runs" / "chaos" / stamp
    wanted = [each for each in (SHORT if options.short else WHOLE) if _wanted(each, options.only)]
    expected: dict[str, Mapping[str, Any]] = {}
    outcomes: list[Outcome] = []
    for at, ((name, patience), scenarios) in enumerate(groupby(wanted, lambda each: (each.world, each.patience))):
        place = folder / f"{at:02d}"
        began = time.monotonic()
        with world(name, place, patience) as here:
            print(f"chaos: the {name} world is up after {time.monotonic() - began:.0f} s", flush=True)
            runs.write_prompts(place)
            verdict.watch_commits(here.database)
            played: list[Outcome] = []
            for scenario in scenarios:
                played.append(play(here, scenario, expected.get(name)))
                _report(played[-1], place)
                if not scenario.acts:
                    expected[name] = played[-1].digests
        outcomes += played
        if not options.keep and not any(outcome.wrong for outcome in played):
            shutil.rmtree(place)
    print(table(outcomes))
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
