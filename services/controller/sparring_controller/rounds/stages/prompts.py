"""Stage `prompts`: this round's prompts, in shards."""

from sparring_controller.rounds.draws import round_prompts, shards
from sparring_controller.rounds.prompts import load_prompts
from sparring_controller.rounds.stage_results import PromptsResult
from sparring_controller.rounds.stages.drift import watched_drift
from sparring_controller.rounds.stages.work import Done, Work
from sparring_shared.records import Prompt


def prompts(work: Work) -> Done:
    """Write the shards of this round's prompts. Raises InvalidInput when the source no longer has enough."""
    config, number = work.config, work.row.round
    drift = watched_drift(work)
    played = round_prompts(load_prompts(config.prompts).training, config.seed, number, config.prompts.per_round)
    cut = shards(played, config.sampling.shard_size)
    files = [work.write(work.places.shard(number, "prompts", i), Prompt, shard) for i, shard in enumerate(cut)]
    return Done(PromptsResult(files=tuple(files), drift=drift, spent=work.spent))
