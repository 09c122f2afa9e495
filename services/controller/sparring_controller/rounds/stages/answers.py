"""Answers of one policy to many prompts at once, for training and evaluation; what has come is kept, whatever comes next."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed

from sparring_controller.rounds.clients.generator import PromptRefused, PromptTooLong, Sampled, Sampling
from sparring_controller.rounds.stage_results import AnswerLengths
from sparring_controller.rounds.stages.work import Work
from sparring_controller.store.records import digest
from sparring_shared.errors import PolicyMismatch, SparringError
from sparring_shared.records import Prompt, Record
from sparring_shared.wire.trainer import CheckpointRef

log = logging.getLogger(__name__)

_MAX_LOADS = 5
TOO_LONG = "prompt too long"
REFUSED = "prompt refused"

Answers = dict[str, Sampled]
"""What was sampled, by prompt id."""


class KeptAnswers(Record):
    """What an attempt put aside, each under the hash of policy, prompt and sampling: nothing else ever finds it."""

    answers: dict[str, Sampled]


def sample_all(
    work: Work, policy: CheckpointRef, prompts: list[Prompt], sampling: Callable[[Prompt], Sampling]
) -> tuple[Answers, Counter[str]]:
    """The answers of this policy, and of no other, to all prompts; prompts that do not fit its context, or that its
    chat template does not take, are counted.

    When another run has the policy changed in between, it is loaded again and the answers still missing are asked for
    again; after five times PolicyMismatch is raised. Whatever is raised, what has come is kept for the next attempt.
    """
    answers = _kept(work, policy, prompts, sampling) if work.joins_answers else {}
    before, dropped = len(answers), Counter[str]()
    missing = [prompt for prompt in prompts if prompt.prompt_id not in answers]
    try:
        for load in range(_MAX_LOADS):
            if not missing:
                return answers, dropped
            if load:
                log.warning("policy %d was replaced while it answered (load %d)", policy.version, load)
            work.services.generator.ensure(policy)
            missing = _sample(work, policy, missing, sampling, answers, dropped)
        if missing:
            raise PolicyMismatch("The policy on the generator was replaced again and again; let one run sample at a time.")
    except SparringError:
        if work.joins_answers and len(answers) > before:
            _keep(work, policy, prompts, sampling, answers)
        raise
    return answers, dropped


def answer_lengths(answers: Answers, *, drop_unfinished: bool) -> AnswerLengths:
    """How long all the answers are; with `drop_unfinished`, how many of them are left out."""
    every = [candidate for sampled in answers.values() for candidate in sampled.candidates]
    return AnswerLengths(
        answers=len(every),
        tokens=sum(len(candidate.token_ids) for candidate in every),
        characters=sum(len(candidate.text) for candidate in every),
        at_limit=sum(candidate.finish_reason == "length" for candidate in every),
        unfinished=sum(not candidate.finished for candidate in every) if drop_unfinished else 0,
    )


def _sample(
    work: Work,
    policy: CheckpointRef,
    prompts: list[Prompt],
    sampling: Callable[[Prompt], Sampling],
    answers: Answers,
    dropped: Counter[str],
) -> list[Prompt]:
    """Ask for all at once; returns the prompts that met another policy.

    After the first failure nothing more is begun, and what is under way is taken in.
    """
    again: list[Prompt] = []
    failures: list[SparringError] = []
    pool = ThreadPoolExecutor(work.answers_at_once)
    try:
        sample = work.services.generator.sample
        asked = {pool.submit(sample, prompt, sampling(prompt), policy.digest): prompt for prompt in prompts}
        for future in as_completed(asked):
            work.check()
            try:
                answers[asked[future].prompt_id] = future.result()
                work.answered = True
            except CancelledError:
                continue
            except PolicyMismatch:
                again.append(asked[future])
            except PromptRefused as error:
                log.warning("prompt %s is dropped: %s", asked[future].prompt_id, error.message)
                dropped[TOO_LONG if isinstance(error, PromptTooLong) else REFUSED] += 1
            except SparringError as error:
                failures.append(error)
                for other in asked:
                    other.cancel()
    finally:
        pool.shutdown(cancel_futures=True)
    if failures:
        raise failures[0]
    return again


def _keep(
    work: Work, policy: CheckpointRef, prompts: list[Prompt], sampling: Callable[[Prompt], Sampling], answers: Answers
) -> None:
    asked = ((_asked(policy, prompt, sampling(prompt)), prompt.prompt_id) for prompt in prompts)
    work.keep_whole(KeptAnswers(answers={name: answers[prompt_id] for name, prompt_id in asked if prompt_id in answers}))


def _kept(work: Work, policy: CheckpointRef, prompts: list[Prompt], sampling: Callable[[Prompt], Sampling]) -> Answers:
    kept = work.kept_whole(KeptAnswers)
    if kept is None:
        return {}
    asked = ((_asked(policy, prompt, sampling(prompt)), prompt.prompt_id) for prompt in prompts)
    return {prompt_id: kept.answers[name] for name, prompt_id in asked if name in kept.answers}


def _asked(policy: CheckpointRef, prompt: Prompt, sampling: Sampling) -> str:
    return digest([policy.digest, prompt.model_dump(), sampling.model_dump(), sampling.reasoning_parser])
