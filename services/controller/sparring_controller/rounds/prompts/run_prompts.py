"""The prompts of a run: all its sources read, each prompt on one side and in one round."""

from typing import NamedTuple

from sparring_controller.rounds.prompts.source_reading import HASH_DIGITS, SourceReport, read_source
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import NamedSource, PromptsConfig
from sparring_shared.records import Prompt


class RunPrompts(NamedTuple):
    """Prompts to play and prompts to evaluate on, each list sorted by `prompt_id`, and what became of each source's rows.

    `training` has a list for each round, or the one that all rounds share.
    """

    training: tuple[list[Prompt], ...]
    heldout: list[Prompt]
    reports: tuple[SourceReport, ...]


def read_prompts(config: PromptsConfig) -> RunPrompts:
    """All prompts of a run; where a prompt comes more than once, being held out goes first, then the earliest round.

    Raises InvalidInput for a source that is missing, damaged or has too many rows that are no prompts, when nothing would be
    held out, and when a round would have no prompts or fewer than `per_round`.
    """
    apart = config.evaluation_source()
    separate = None if apart is None else read_source(apart, config.max_bad)
    heldout = {} if separate is None else dict(separate.prompts)
    seen: set[str] = set()
    training: list[list[Prompt]] = []
    reports: list[SourceReport] = []
    for named in config.training_sources():
        found, report = read_source(named, config.max_bad)
        new = [prompt for prompt_id, prompt in found.items() if prompt_id not in seen]
        seen.update(found)
        if separate is None:
            heldout.update({prompt.prompt_id: prompt for prompt in new if is_heldout(prompt, config.heldout_share)})
        played = _sorted([prompt for prompt in new if prompt.prompt_id not in heldout])
        counts = {
            "duplicates": report.duplicates + len(found) - len(new),
            "held_out": len(new) - len(played),
            "prompts": len(played),
        }
        training.append(played)
        reports.append(report.model_copy(update=counts))
        _require_enough(config, named, reports[-1])
    if not heldout:
        raise InvalidInput(
            f"None of {len(seen)} prompts is held out at prompts.heldout = {config.heldout_share}; give more prompts or raise "
            "prompts.heldout."
        )
    apart_report = () if separate is None else (separate.report,)
    return RunPrompts(tuple(training), _sorted(list(heldout.values())), (*reports, *apart_report))


def is_heldout(prompt: Prompt, share: float) -> bool:
    """Whether the prompt's hash, read as a fraction in [0, 1), lies below `share`."""
    return int(prompt.prompt_id, 16) / 16**HASH_DIGITS < share


def _sorted(prompts: list[Prompt]) -> list[Prompt]:
    return sorted(prompts, key=lambda prompt: prompt.prompt_id)


def _require_enough(config: PromptsConfig, named: NamedSource, report: SourceReport) -> None:
    """Raises InvalidInput for a round without prompts, or with fewer than it wants."""
    if not report.prompts:
        raise InvalidInput(
            f"{report.source} leaves nothing to play in {named.name}: {report.duplicates} duplicates, {report.held_out} held "
            f"out, {sum(rows.count for rows in report.dropped.values())} dropped of {report.rows} rows; give more prompts in "
            f"{named.key('source')} or hold out fewer."
        )
    if config.per_round is not None and config.per_round > report.prompts:
        raise InvalidInput(
            f"prompts.per_round is {config.per_round}, but {report.source} has {report.prompts} prompts to play in "
            f"{named.name}; lower it or add prompts."
        )
