"""The games as a command: `python -m sparring_trainer.games --all --plot games.png`, or `sparring games`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sparring_shared.errors import fail

if TYPE_CHECKING:
    from sparring_trainer.games.findings import GameReport

# Tensors of a few numbers: more threads only wait for each other. Set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def table(reports: Sequence["GameReport"]) -> str:
    """The findings as a Markdown table."""
    lines = [
        "| game | method | rounds | gap of the last policy | gap of the average | finding |",
        "|---|---|---:|---:|---:|---|",
    ]
    for report in reports:
        for finding in report.findings:
            played = finding.played
            gaps = f"{abs(played.last[-1]):.1e} | {abs(played.average[-1]):.1e}"
            rounds = len(played.last) - (0 if finding.method == "SPPO" else 1)
            lines.append(f"| {report.game.name} | {finding.method} | {rounds:,} | {gaps} | {finding.says} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the games and print what is found; exit code 2 for a wrong argument."""
    from sparring_trainer.games.matrices import GAMES

    parser = argparse.ArgumentParser(prog="sparring games", description="Play the methods on games with a known equilibrium.")
    parser.add_argument("--game", action="append", choices=sorted(GAMES), help="a game to play, several times for more")
    parser.add_argument("--all", action="store_true", help="play all games (also without --game)")
    parser.add_argument("--plot", type=Path, help="write a figure (PNG) to this file")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    options = parser.parse_args(arguments)
    if options.plot is not None and not options.plot.resolve().parent.is_dir():
        return fail(f"there is no folder {options.plot.resolve().parent} for the figure; make it or give another path.")
    from sparring_trainer.games.findings import report_on

    names = list(GAMES) if options.all or not options.game else options.game
    reports = [report_on(GAMES[name], options.seed) for name in names]
    print(table(reports))
    if options.plot is not None:
        from sparring_trainer.games.figure import draw_games

        draw_games(options.plot, reports)
    return 0


if __name__ == "__main__":
    sys.exit(main())
