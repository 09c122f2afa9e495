"""Answers of one policy to many prompts at once, for training and evaluation; what has come is kept, whatever comes next."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed

from sparring_controller.rounds.clients.generator import PromptRefused, PromptTooLong, Sampled, Sampling
from sparring_controller.rounds.stage_results import AnswerLengths
from sparring_controller.rounds.stages.work import Later, Work
from sparring_controller.store.records import digest
from sparring_shared.errors import PolicyMismatch, SparringError, Unavailable
from sparring_shared.records import Prompt, Record
from sparring_shared.wire.trainer import CheckpointRef

log = logging.getLogger(__name__)

_LOOK_SECONDS = 3.0
_MAX_LOADS = 5
TOO_LONG = "prompt too long"
REFUSED = "prompt refused"

Answers = dict[str, Sampled]
"""What was sampled, by prompt id."""


class KeptAnswers(Record):
    """What an attempt put aside, each under the hash of policy, prompt and sampling: nothing else ever finds it."""

    answers: dict[str, Sampled]


class Answering:
    """The answers of this policy, and of no other, to prompts; `found` begins with what an earlier attempt kept.

    `dropped` counts the prompts that do not fit the policy's context, or that its chat template does not take.
    """

    def __init__(
        self, work: Work, policy: CheckpointRef, prompts: list[Prompt], sampling: Callable[[Prompt], Sampling]
    ) -> None:
        self._work, self._policy, self._prompts, self._sampling = work, policy, prompts, sampling
        self.dropped: Counter[str] = Counter()
        self.found: Answers = {}
        self._new = False
        kept = work.kept_whole(KeptAnswers)
        if kept is not None:
            asked = {prompt.prompt_id: self._asked(prompt) for prompt in prompts}
            self.found = {name: kept.answers[asked[name]] for name in asked if asked[name] in kept.answers}

    def ask(self) -> None:
        """Have all the other prompts answered.

        When another run has the policy changed in between, it is loaded again and the answers still missing are asked for
        again; after five times PolicyMismatch is raised. Raises what the stage has to wait or to be tried again for; hand it to
        `interrupted`.
        """
        missing = [prompt for prompt in self._prompts if prompt.prompt_id not in self.found]
        for load in range(_MAX_LOADS):
            if not missing:
                return
            if load:
                log.warning("policy %d was replaced while it answered (load %d)", self._policy.version, load)
            self._work.services.generator.ensure(self._policy)
            missing = self._sample(missing)
        if missing:
            raise PolicyMismatch("The policy on the generator was replaced again and again; let one run sample at a time.")

    def interrupted(self, error: SparringError) -> Later:
        """Keep what has come for the next attempt. A wait begins anew where something came; else the error is raised."""
        if self._new:
            asked = {prompt.prompt_id: self._asked(prompt) for prompt in self._prompts}
            self._work.keep_whole(KeptAnswers(answers={asked[name]: answer for name, answer in self.found.items()}))
            if isinstance(error, Unavailable):
                return Later(_LOOK_SECONDS, error=error.message)
        raise error

    def _sample(self, prompts: list[Prompt]) -> list[Prompt]:
        """Ask for all at once; returns the prompts that met another policy.

        After the first failure nothing more is begun, and what is under way is taken in.
        """
        again: list[Prompt] = []
        failures: list[SparringError] = []
        pool = ThreadPoolExecutor(self._work.settings.sampling_concurrency)
        try:
            sample = self._work.services.generator.sample
            asked = {pool.submit(sample, prompt, self._sampling(prompt), self._policy.digest): prompt for prompt in prompts}
            for future in as_completed(asked):
                self._work.check()
                try:
                    self.found[asked[future].prompt_id] = future.result()
                    self._new = True
                except CancelledError:
                    continue
                except PolicyMismatch:
                    again.append(asked[future])
                except PromptRefused as error:
                    log.warning("prompt %s is dropped: %s", asked[future].prompt_id, error.message)
                    self.dropped[TOO_LONG if isinstance(error, PromptTooLong) else REFUSED] += 1
                except SparringError as error:
                    failures.append(error)
                    for other in asked:
                        other.cancel()
        finally:
            pool.shutdown(cancel_futures=True)
        if failures:
            raise failures[0]
        return again

    def _asked(self, prompt: Prompt) -> str:
        sampling = self._sampling(prompt)
        return digest(
            [self._policy.digest, prompt.model_dump(mode="json"), sampling.model_dump(mode="json"), sampling.reasoning_parser]
        )


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
