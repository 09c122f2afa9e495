import json
from pathlib import Path
from typing import Any

import pytest

from sparring_controller.api.lengths import model_context
from sparring_controller.rounds.asking import evaluation_sampling, round_sampling, shown, with_system
from sparring_controller.rounds.clients.thinking import final_answer
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Answer, Candidate, Message, PolicyRef, Prompt
from sparring_shared.run_config import RunConfig

USER = Message(role="user", content="Zinc?")
PROMPT = Prompt(prompt_id="p", messages=(USER,))


def run_config(**changed: Any) -> RunConfig:
    return RunConfig.model_validate({"name": "a", "policy": {"model": "m"}, "prompts": {"source": "p"}, **changed})


@pytest.mark.parametrize(
    ("prompt_text", "text", "final"),
    [
        ("assistant:", "Zn is a metal.", "Zn is a metal."),
        ("assistant:", "<think>Zn.</think>\n\nYes.", "Yes."),
        ("assistant: <think>\n", "Zn.</think>\n\nYes. </think>?", "Yes. </think>?"),
        ("assistant: <think>\n\n</think>\n\n", "Yes.", "Yes."),
        ("assistant:", "<think>Zn.</think>", ""),
        ("assistant:", "<think>Zn", None),
        ("assistant: <think>\n", "Zn", None),
    ],
)
def test_what_an_answer_says_after_its_thinking(prompt_text: str, text: str, final: str | None) -> None:
    assert final_answer(prompt_text, text) == final


def test_the_system_prompt_is_put_before_a_conversation_that_has_none() -> None:
    asked = with_system(PROMPT, "Be brief.")
    assert (asked.prompt_id, asked.messages) == ("p", (Message(role="system", content="Be brief."), USER))
    assert with_system(asked, "Be long.") == asked
    assert with_system(PROMPT, None) == PROMPT


def test_the_evaluation_samples_as_a_round_but_for_its_own_decoding() -> None:
    sampling = {"k": 4, "temperature": 0.8, "top_p": 0.95, "top_k": 9, "stop": ["#"], "reasoning_parser": "think"}
    as_sampled = evaluation_sampling(run_config(sampling=sampling), 7)
    assert as_sampled == round_sampling(run_config(sampling=sampling), 7).model_copy(update={"n": 1})
    own = run_config(sampling=sampling, evaluation={"temperature": 0.0, "top_p": 0.9, "max_tokens": 5})
    decoding = {"n": 1, "temperature": 0.0, "top_p": 0.9, "max_tokens": 5}
    assert evaluation_sampling(own, 7) == round_sampling(own, 7).model_copy(update=decoding)


def test_a_templated_judge_needs_a_text() -> None:
    said = Candidate(text="Yes.", token_ids=(5, 2), logprob=-1.0, finish_reason="stop")
    answer = Answer(prompt=PROMPT, candidate=said, policy=PolicyRef(version=0, digest="sha256:0"))
    assert shown(answer, templated=False) == (USER,)
    with pytest.raises(InvalidInput, match=r"judge\.templated needs the prompt as text"):
        shown(answer, templated=True)
    assert shown(answer.model_copy(update={"prompt_text": "<s>Zinc?"}), templated=True) == "<s>Zinc?"


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({}, None),
        ({"max_position_embeddings": 256, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, 256),
        ({"n_positions": 1024}, 1024),
        ({"text_config": {"max_position_embeddings": 512}}, 512),
        ({"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, 131072),
        ({"max_position_embeddings": 32768, "rope_scaling": {"type": "yarn", "factor": 4.0}}, None),
    ],
)
def test_the_context_is_what_config_json_says(tmp_path: Path, config: dict[str, Any], context: int | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert model_context(tmp_path) == context


def test_a_config_that_is_not_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("no")
    with pytest.raises(InvalidInput, match=r"config\.json is not JSON"):
        model_context(tmp_path)
