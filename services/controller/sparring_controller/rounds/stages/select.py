"""Stage `select`: from candidates and preferences of a shard to the pairs to train on."""

from collections import Counter

from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.selection import NoPair, pairs_of
from sparring_controller.rounds.stage_results import SelectResult
from sparring_controller.rounds.stages.work import Done, Work
from sparring_shared.records import CandidateSet, Pair, PreferenceMatrix


def select(work: Work) -> Done:
    """Choose the pairs of each judged prompt; prompts without one are counted by reason."""
    number, shard = work.row.round, work.row.shard
    sets = {row.prompt.prompt_id: row for row in work.read(CandidateSet, number, "generate", shard)}
    dropped: Counter[str] = Counter()
    pairs: list[Pair] = []
    for matrix in work.read(PreferenceMatrix, number, "judge", shard):
        found = pairs_of(work.config, sets[matrix.prompt_id], matrix, seed_of(work.config.seed, number, matrix.prompt_id))
        if isinstance(found, NoPair):
            dropped[found.value] += 1
        else:
            pairs.extend(found)
    file = work.write(work.places.shard(number, "pairs", shard), Pair, pairs)
    return Done(SelectResult(file=file, dropped=dict(dropped)))
