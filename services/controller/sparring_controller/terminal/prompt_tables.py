"""The prompts of a run config as tables and lines: what `sparring prompts` shows."""

import json
from collections.abc import Iterator
from statistics import median

from rich.markup import escape
from rich.table import Table

from sparring_controller.rounds.draws import round_prompts
from sparring_controller.rounds.prompts.run_prompts import RunPrompts
from sparring_controller.rounds.prompts.source_reading import SourceReport
from sparring_shared.records import Prompt
from sparring_shared.run_config import RunConfig

_EXAMPLES = 3
_EXAMPLE_CHARACTERS = 300


def prompts_table(config: RunConfig, found: RunPrompts) -> Table:
    """A row per source, and one for prompts held out by their hash; lengths are characters of the whole conversation."""
    table = Table("prompts", "source")
    for name in ("rows", "dropped", "duplicates", "held out", "to play", "a round plays", "characters, median", "longest"):
        table.add_column(name, justify="right")
    for report, prompts in zip(found.reports, found.training, strict=False):
        share = str(config.prompts.per_round or len(prompts))
        table.add_row(*_counts(report), str(report.held_out), str(len(prompts)), share, *_lengths(prompts))
    apart = _counts(found.reports[-1]) if config.prompts.heldout_source else ("held out", "", "", "", "")
    table.add_row(*apart, str(len(found.heldout)), "", "", *_lengths(found.heldout))
    return table


def left_out(found: RunPrompts) -> Iterator[str]:
    """A line per source that has rows which are no prompts, and one for answers that were left off."""
    for report in found.reports:
        count = sum(rows.count for rows in report.dropped.values())
        if count:
            yield f"{report.source}: {count} of {report.rows} rows are dropped ({report.dropped_in_words()})."
        if report.answered:
            yield f"{report.source}: of {report.answered} rows the answer at the end is left off."


def examples(config: RunConfig, found: RunPrompts) -> Iterator[str]:
    """The first prompts of round 1 in the order in which they are played, as JSON; long texts are cut."""
    yield f"The first {_EXAMPLES} of round 1:"
    for prompt in round_prompts(found.training[0], config.seed, 1, config.prompts.per_round)[:_EXAMPLES]:
        texts = [f"{message.role}: {json.dumps(_cut(message.content), ensure_ascii=False)}" for message in prompt.messages]
        yield f"  {prompt.prompt_id}  {' | '.join(texts)}"


def _counts(report: SourceReport) -> tuple[str, ...]:
    dropped = sum(rows.count for rows in report.dropped.values())
    source = report.source if report.revision is None else f"{report.source} @ {report.revision[:7]}"
    return report.name, escape(source), str(report.rows), str(dropped), str(report.duplicates)


def _lengths(prompts: list[Prompt]) -> tuple[str, str]:
    characters = [sum(len(message.content) for message in prompt.messages) for prompt in prompts]
    return f"{median(characters):.0f}", str(max(characters))


def _cut(text: str) -> str:
    return text if len(text) <= _EXAMPLE_CHARACTERS else f"{text[:_EXAMPLE_CHARACTERS]} ..."
