"""Stage `judge`: a preference matrix over the K candidates of every prompt of a shard."""

import logging
from collections import Counter

from sparring_controller.rounds.asking import shown
from sparring_controller.rounds.stage_results import JudgeResult
from sparring_controller.rounds.stages.knockout import play_tournaments
from sparring_controller.rounds.stages.work import Done, Work
from sparring_shared.artifacts import read_records
from sparring_shared.records import CandidateSet, PreferenceMatrix
from sparring_shared.wire.judge import ItemError, RankItem

log = logging.getLogger(__name__)

ITEMS = 16
"""Prompts in one request: small enough for any limit, large enough to fill a batch."""


def judge(work: Work) -> Done:
    """Ask the judge; a prompt that it cannot judge is dropped and counted by the judge's reason."""
    number, shard = work.row.round, work.row.shard
    sets = read_records(work.places.shard(number, "candidates", shard), CandidateSet)
    dropped: Counter[str] = Counter()
    rows: list[PreferenceMatrix] = []
    for start in range(0, len(sets), ITEMS):
        work.check()
        ask = play_tournaments if work.config.selection.name == "knockout" else _rank
        rows.extend(ask(work, sets[start : start + ITEMS], dropped))
    file = work.write(work.places.shard(number, "preferences", shard), PreferenceMatrix, rows)
    flags = [truncated for row in rows for truncated in row.truncated]
    return Done(JudgeResult(file=file, dropped=dict(dropped), candidates=len(flags), truncated=sum(flags)))


def _rank(work: Work, sets: list[CandidateSet], dropped: Counter[str]) -> list[PreferenceMatrix]:
    templated = work.config.judge.templated
    items = [
        RankItem(prompt=shown(row, templated=templated), candidates=tuple(candidate.text for candidate in row.candidates))
        for row in sets
    ]
    response = work.services.judge.rank(items, work.config.judge.estimator)
    rows: list[PreferenceMatrix] = []
    for row, result in zip(sets, response.items, strict=True):
        if isinstance(result, ItemError):
            log.warning("prompt %s is dropped: %s", row.prompt.prompt_id, result.error.message)
            dropped[f"judge: {result.error.type}"] += 1
            continue
        answer = result.model_dump(include={"logits", "probs", "truncated"})
        rows.append(PreferenceMatrix.model_validate({**answer, "prompt_id": row.prompt.prompt_id, "judge": response.judge}))
    return rows
