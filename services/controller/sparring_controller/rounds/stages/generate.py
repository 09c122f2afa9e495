"""Stage `generate`: K candidates for every prompt of a shard, from policy t-1."""

from sparring_controller.rounds.clients.generator import Sampling
from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.stage_results import GenerateResult
from sparring_controller.rounds.stages.answers import sample_all
from sparring_controller.rounds.stages.gpu import wait_for_trainer
from sparring_controller.rounds.stages.work import Done, Later, Work
from sparring_shared.artifacts import read_records
from sparring_shared.records import CandidateSet, Prompt


def generate(work: Work) -> Done | Later:
    """Sample the shard; candidates keep the order of its prompts and the policy that made them."""
    if (later := wait_for_trainer(work)) is not None:
        return later
    config, number, shard = work.config.sampling, work.row.round, work.row.shard

    def sampling(prompt: Prompt) -> Sampling:
        return Sampling(
            n=config.k,
            temperature=config.temperature,
            top_p=config.top_p,
            max_tokens=config.max_tokens,
            seed=seed_of(work.config.seed, number, prompt.prompt_id),
        )

    policy = work.policy(number - 1)
    prompts = read_records(work.places.shard(number, "prompts", shard), Prompt)
    answers, dropped = sample_all(work, policy, prompts, sampling)
    rows = [
        CandidateSet(prompt=prompt, candidates=answers[prompt.prompt_id], policy=policy.policy)
        for prompt in prompts
        if prompt.prompt_id in answers
    ]
    file = work.write(work.places.shard(number, "candidates", shard), CandidateSet, rows)
    return Done(GenerateResult(file=file, dropped=dict(dropped)))
