"""Answers of one policy to many prompts at once, for training and for evaluation."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

from sparring_controller.rounds.clients.generator import PromptRefused, PromptTooLong, Sampled, Sampling
from sparring_controller.rounds.stage_results import AnswerLengths
from sparring_controller.rounds.stages.work import Work
from sparring_shared.errors import PolicyMismatch
from sparring_shared.records import Prompt
from sparring_shared.wire.trainer import CheckpointRef

log = logging.getLogger(__name__)

_MAX_LOADS = 5
TOO_LONG = "prompt too long"
REFUSED = "prompt refused"

Answers = dict[str, Sampled]
"""What was sampled, by prompt id."""


def sample_all(
    work: Work, policy: CheckpointRef, prompts: list[Prompt], sampling: Callable[[Prompt], Sampling]
) -> tuple[Answers, Counter[str]]:
    """The answers of this policy, and of no other, to all prompts; prompts that do not fit its context, or that its
    chat template does not take, are counted.

    When another run has the policy changed in between, it is loaded again and the answers still missing are asked for
    again; after five times PolicyMismatch is raised.
    """
    answers: Answers = {}
    dropped: Counter[str] = Counter()
    missing = prompts
    for load in range(_MAX_LOADS):
        work.services.generator.ensure(policy)
        missing = _sample(work, policy, missing, sampling, answers, dropped)
        if not missing:
            return answers, dropped
        log.warning("policy %d was replaced while it answered (load %d)", policy.version, load + 1)
    raise PolicyMismatch("The policy on the generator was replaced again and again; let one run sample at a time.")


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
    """Ask for all at once; returns the prompts that met another policy."""
    again: list[Prompt] = []
    pool = ThreadPoolExecutor(work.answers_at_once)
    try:
        sample = work.services.generator.sample
        asked = {pool.submit(sample, prompt, sampling(prompt), policy.digest): prompt for prompt in prompts}
        for future in as_completed(asked):
            work.check()
            try:
                answers[asked[future].prompt_id] = future.result()
                work.answered = True
            except PolicyMismatch:
                again.append(asked[future])
            except PromptRefused as error:
                log.warning("prompt %s is dropped: %s", asked[future].prompt_id, error.message)
                dropped[TOO_LONG if isinstance(error, PromptTooLong) else REFUSED] += 1
    finally:
        pool.shutdown(cancel_futures=True)
    return again
