"""Stage `generate`: K candidates for every prompt of a shard, from policy t-1."""

from sparring_controller.rounds.asking import round_sampling, with_system
from sparring_controller.rounds.clients.generator import Sampling
from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.stage_results import GenerateResult
from sparring_controller.rounds.stages.answers import answer_lengths, sample_all
from sparring_controller.rounds.stages.gpu import wait_for_trainer
from sparring_controller.rounds.stages.turns import leave_turn, take_turn
from sparring_controller.rounds.stages.work import Done, Later, Work
from sparring_shared.records import CandidateSet, Prompt

TOO_FEW = "fewer than two finished answers"


def generate(work: Work) -> Done | Later:
    """Sample the shard; candidates keep the order of its prompts and the policy that made them."""
    config, number, shard = work.config, work.row.round, work.row.shard
    policy = work.policy(number - 1)
    if (later := wait_for_trainer(work) or take_turn(work, policy.digest)) is not None:
        return later

    def sampling(prompt: Prompt) -> Sampling:
        return round_sampling(config, seed_of(config.seed, number, prompt.prompt_id))

    played = work.read(Prompt, number, "prompts", shard)
    prompts = [with_system(prompt, config.sampling.system) for prompt in played]
    answers, dropped = sample_all(work, policy, prompts, sampling)
    leave_turn(work, policy.version)
    rows: list[CandidateSet] = []
    for prompt in prompts:
        if (sampled := answers.get(prompt.prompt_id)) is None:
            continue
        kept = tuple(each for each in sampled.candidates if each.finished or not config.sampling.drop_unfinished)
        if len(kept) < 2:
            dropped[TOO_FEW] += 1
            continue
        read = {"prompt_token_ids": sampled.prompt_token_ids, "prompt_text": sampled.prompt_text}
        rows.append(CandidateSet(prompt=prompt, candidates=kept, policy=policy.policy, **read))
    file = work.write(work.places.shard(number, "candidates", shard), CandidateSet, rows)
    lengths = answer_lengths(answers, drop_unfinished=config.sampling.drop_unfinished)
    return Done(GenerateResult(file=file, dropped=dict(dropped), lengths=lengths))
