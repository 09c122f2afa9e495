"""The games as a command: `python -m sparring_trainer.games --all --plot games.png`, or `sparring games`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from sparring_shared.errors import fail

# Tensors of a few numbers: more threads only wait for each other. Set before torch is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the games and print what is found; exit code 2 for a wrong argument."""
    from sparring_trainer.games.matrices import GAMES

    parser = argparse.ArgumentParser(prog="sparring games", description="Play the methods on games with a known equilibrium.")
    parser.add_argument(
        "--game", action="append", choices=sorted(GAMES), default=[], help="a game to play, several times for more"
    )
    parser.add_argument("--survey", action="store_true", help="measure the methods over many games of each family")
    parser.add_argument("--all", action="store_true", help="all games and the survey (also without --game and --survey)")
    parser.add_argument("--plot", type=Path, help="write a figure (PNG) to this file")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    options = parser.parse_args(arguments)
    if options.plot is not None and not options.plot.resolve().parent.is_dir():
        return fail(f"there is no folder {options.plot.resolve().parent} for the figure; make it or give another path.")
    everything = options.all or not (options.game or options.survey)
    play(list(GAMES) if everything else options.game, everything or options.survey, options.seed, options.plot)
    return 0


def play(names: Sequence[str], with_survey: bool, seed: int, plot: Path | None) -> None:
    """Print a table of the games, one of the survey, and draw both."""
    from sparring_trainer.games.findings import report_on
    from sparring_trainer.games.matrices import GAMES
    from sparring_trainer.games.survey import survey
    from sparring_trainer.games.tables import games_table, survey_table

    reports = [report_on(GAMES[name], seed) for name in names]
    courses = survey(seed) if with_survey else []
    tables = ([games_table(reports)] if reports else []) + ([survey_table(courses)] if courses else [])
    print("\n\n".join(tables))
    if plot is not None:
        from sparring_trainer.games.figure import draw_games

        draw_games(plot, reports, courses)


if __name__ == "__main__":
    sys.exit(main())
