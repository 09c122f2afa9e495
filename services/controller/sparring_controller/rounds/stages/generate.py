"""Stage `generate`: K candidates for every prompt of a shard, from policy t-1."""

from collections.abc import Iterable

from sparring_controller.rounds.asking import round_sampling, with_system
from sparring_controller.rounds.clients.generator import Sampling
from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.stage_results import AnswerLengths, GenerateResult
from sparring_controller.rounds.stages.answers import sample_all
from sparring_controller.rounds.stages.gpu import wait_for_trainer
from sparring_controller.rounds.stages.work import Done, Later, Work
from sparring_shared.artifacts import read_records
from sparring_shared.records import Candidate, CandidateSet, Prompt

TOO_FEW = "fewer than two finished answers"


def generate(work: Work) -> Done | Later:
    """Sample the shard; candidates keep the order of its prompts and the policy that made them."""
    if (later := wait_for_trainer(work)) is not None:
        return later
    config, number, shard = work.config, work.row.round, work.row.shard

    def sampling(prompt: Prompt) -> Sampling:
        return round_sampling(config, seed_of(config.seed, number, prompt.prompt_id))

    policy = work.policy(number - 1)
    played = read_records(work.places.shard(number, "prompts", shard), Prompt)
    prompts = [with_system(prompt, config.sampling.system) for prompt in played]
    answers, dropped = sample_all(work, policy, prompts, sampling)
    rows: list[CandidateSet] = []
    for prompt in prompts:
        if (sampled := answers.get(prompt.prompt_id)) is None:
            continue
        kept = _kept(sampled.candidates, config.sampling.drop_unfinished)
        if len(kept) < 2:
            dropped[TOO_FEW] += 1
            continue
        made = {"prompt_token_ids": sampled.prompt_token_ids, "prompt_text": sampled.prompt_text, "candidates": kept}
        rows.append(CandidateSet(prompt=prompt, policy=policy.policy, **made))
    file = work.write(work.places.shard(number, "candidates", shard), CandidateSet, rows)
    every = [candidate for sampled in answers.values() for candidate in sampled.candidates]
    return Done(GenerateResult(file=file, dropped=dict(dropped), lengths=_lengths(every, config.sampling.drop_unfinished)))


def _kept(candidates: tuple[Candidate, ...], drop_unfinished: bool) -> tuple[Candidate, ...]:
    return tuple(candidate for candidate in candidates if candidate.finished or not drop_unfinished)


def _lengths(candidates: Iterable[Candidate], drop_unfinished: bool) -> AnswerLengths:
    every = list(candidates)
    return AnswerLengths(
        answers=len(every),
        tokens=sum(len(candidate.token_ids) for candidate in every),
        characters=sum(len(candidate.text) for candidate in every),
        at_limit=sum(candidate.finish_reason == "length" for candidate in every),
        unfinished=sum(not candidate.finished for candidate in every) if drop_unfinished else 0,
    )
