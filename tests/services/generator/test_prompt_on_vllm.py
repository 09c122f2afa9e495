"""The controller's own client asks the real vLLM, and the trainer scores what comes back: prompt, answers and text agree."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from generator_server import Checkpoints, Server
from random_llama import END, make_tokenizer

from sparring_controller.api.lengths import check_lengths
from sparring_controller.rounds.clients.generator import GeneratorClient, Sampled, Sampling
from sparring_controller.rounds.selection import NoPair, pairs_of
from sparring_shared.errors import InvalidInput
from sparring_shared.records import CandidateSet, JudgeRef, Message, Pair, PolicyRef, PreferenceMatrix, Prompt
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.trainer import CheckpointRef
from sparring_trainer.learning.batches import rows
from sparring_trainer.learning.examples import sampler_gap, to_example
from sparring_trainer.learning.models import load_policy

pytestmark = pytest.mark.timeout(600)  # the first test waits for the server, which a busy machine starts slowly

PROMPT = Prompt(prompt_id="p", messages=(Message(role="user", content="What is zinc?"),))
CONFIG = RunConfig.model_validate({"name": "a", "policy": {"model": "m"}, "prompts": {"source": "p"}})
CLOCK = "%H:%M:%S.%f"


@pytest.fixture
def client(server: Server, checkpoints: Checkpoints) -> Iterator[GeneratorClient]:
    client = GeneratorClient(f"http://127.0.0.1:{server.port}")
    client.ensure(base(checkpoints))
    yield client
    client.close()


def base(checkpoints: Checkpoints) -> CheckpointRef:
    return CheckpointRef(version=0, digest=checkpoints.base.digest, path=str(checkpoints.base.folder))


def sampled(client: GeneratorClient, checkpoints: Checkpoints, **changed: Any) -> Sampled:
    values = {"n": 2, "temperature": 0.7, "top_p": 0.95, "max_tokens": 24, "seed": 7, **changed}
    return client.sample(PROMPT, Sampling.model_validate(values), checkpoints.base.digest)


def pair(answer: Sampled) -> Pair:
    """The pair of two answers, the first of which is preferred."""
    policy = PolicyRef(version=0, digest="sha256:0")
    asked = CandidateSet(prompt=PROMPT, policy=policy, **answer.model_dump())
    values = {"logits": [[0, 1], [-1, 0]], "probs": [[0.5, 0.7], [0.3, 0.5]], "truncated": [False, False]}
    matrix = PreferenceMatrix.model_validate({**values, "prompt_id": "p", "judge": JudgeRef(name="j", revision="r")})
    found = pairs_of(CONFIG, asked, matrix, 0)
    assert not isinstance(found, NoPair)
    return found[0]


def decoded(token_ids: Sequence[int]) -> str:
    return str(make_tokenizer().decode(list(token_ids)))


@torch.no_grad()
def gap(pairs: list[Pair], policy: CheckpointRef) -> float:
    """Mean difference of the sampler's and the trainer's log-probs of an answer, in nats, by the trainer's own scoring."""
    model = load_policy(policy)
    limits = {"vocabulary": model.config.vocab_size, "max_length": 400, "max_prompt_length": 200}
    examples = [to_example(pair, **limits) for pair in pairs]
    found = sampler_gap(examples, model(*rows(examples)).view(2, -1).T.tolist())
    assert found is not None
    return found


def test_a_template_that_prints_the_time_gives_the_trainer_the_prompt_that_was_answered(
    client: GeneratorClient, checkpoints: Checkpoints
) -> None:
    policy = base(checkpoints)
    timed = [sampled(client, checkpoints, seed=i, chat_template_kwargs={"clock": CLOCK}) for i in range(3)]
    assert len({answer.prompt_token_ids for answer in timed}) == 3
    assert all(decoded(answer.prompt_token_ids) == answer.prompt_text for answer in timed)
    pairs = [pair(answer) for answer in timed]
    plain = [pair(sampled(client, checkpoints, seed=i)) for i in range(3)]
    assert gap(plain, policy) < 1e-4
    assert gap(pairs, policy) < 1e-4
    # A prompt that is rendered once more is another one, and this would be seen.
    other = [one.model_copy(update={"prompt_token_ids": pairs[i - 1].prompt_token_ids}) for i, one in enumerate(pairs)]
    assert gap(other, policy) > 1e-2


def test_log_probs_stay_untempered_whatever_cuts_the_distribution(client: GeneratorClient, checkpoints: Checkpoints) -> None:
    cut = {"temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.02}
    assert gap([pair(sampled(client, checkpoints, seed=i, **cut)) for i in range(3)], base(checkpoints)) < 1e-4


def test_a_stop_string_ends_the_answer_and_is_trained_on_but_not_judged(
    client: GeneratorClient, checkpoints: Checkpoints
) -> None:
    whole = sampled(client, checkpoints, n=1).candidates[0]
    stop = whole.text[8:10]
    before = whole.text.index(stop)
    answer = sampled(client, checkpoints, stop=(stop,))
    stopped = answer.candidates[0]
    assert (stopped.text, stopped.finish_reason) == (whole.text[:before], "stop")
    assert stopped.token_ids == whole.token_ids[: len(stopped.token_ids)]
    text = decoded(stopped.token_ids)
    assert (text.startswith(stopped.text + stop), END in stopped.token_ids) == (True, False)
    assert gap([pair(answer)], base(checkpoints)) < 1e-4


def test_lengths_are_checked_against_what_the_server_reads(client: GeneratorClient, checkpoints: Checkpoints) -> None:
    policy = base(checkpoints)
    count = len(sampled(client, checkpoints).prompt_token_ids)
    assert client.context(policy.path) == 512
    assert client.context(str(Path(policy.path).parent)) is None
    assert client.prompt_tokens(PROMPT, {}) == count
    assert client.prompt_tokens(PROMPT, {"clock": "%Y"}) == count + 5

    def checked(most: int) -> None:
        check_lengths(
            CONFIG.model_copy(update={"sampling": CONFIG.sampling.model_copy(update={"max_tokens": most})}),
            policy,
            ([PROMPT],),
            client,
        )

    checked(512 - count)
    with pytest.raises(InvalidInput, match=f"sampling.max_tokens is {513 - count}, but .* the shortest prompt takes {count}"):
        checked(513 - count)
