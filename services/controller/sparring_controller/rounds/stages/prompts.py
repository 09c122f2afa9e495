"""Stage `prompts`: this round's prompts, in shards."""

from sparring_controller.rounds.draws import shards
from sparring_controller.rounds.prompts.pinned import played_prompts
from sparring_controller.rounds.stage_results import PromptsResult
from sparring_controller.rounds.stages.work import Done, Work
from sparring_shared.records import Prompt


def prompts(work: Work) -> Done:
    """Write the shards of this round's prompts. Raises InvalidInput when their file is damaged."""
    number = work.row.round
    cut = shards(played_prompts(work.snapshot.run, work.places, number), work.config.sampling.shard_size)
    files = [work.write(work.places.shard(number, "prompts", i), Prompt, shard) for i, shard in enumerate(cut)]
    return Done(PromptsResult(files=tuple(files)))
