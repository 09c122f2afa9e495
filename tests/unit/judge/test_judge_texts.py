"""How a prompt and an answer are found in what other tools send."""

import tracemalloc
from random import Random

import pytest

from sparring_judge.service.compat.rewards import Answer
from sparring_judge.service.compat.texts import answer_after, split_text, without_end_tokens
from sparring_shared.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("yes", "yes"),
        ("yes \n", "yes \n"),
        ("yes</s>", "yes"),
        ("yes \n</s> \n", "yes \n"),
        ("yes<|im_end|>\n<|endoftext|><|endoftext|>", "yes"),
        ("yes<｜end▁of▁sentence｜>", "yes"),  # noqa: RUF001
        ("yes<eos><pad><pad>", "yes"),
        ("<|eot_id|> yes", "<|eot_id|> yes"),
        ("a < b |> c", "a < b |> c"),
        ("</s>", ""),
    ],
)
def test_special_tokens_at_the_end_are_no_part_of_the_answer(text: str, answer: str) -> None:
    assert without_end_tokens(text) == answer


def test_a_megabyte_of_padding_or_spaces() -> None:
    assert without_end_tokens("yes" + "<pad>" * 200_000) == "yes"
    assert without_end_tokens("yes" + " " * 1_000_000 + "x") == "yes" + " " * 1_000_000 + "x"


def test_the_answer_follows_its_prompt() -> None:
    assert answer_after("[INST] hi [/INST]", "[INST] hi [/INST] yes</s>") == " yes"
    assert answer_after("", "yes") == "yes"


def test_a_tokenizer_may_give_back_other_spaces() -> None:
    assert answer_after("<s>[INST] hi  there[/INST]", "<s> [INST] hi there [/INST] yes</s>") == " yes"


def test_a_prompt_cut_at_its_beginning() -> None:
    prompt = "x" * 100 + "y" * 64
    assert answer_after(prompt, "x" * 3 + "y" * 64 + "yes") == "yes"
    with pytest.raises(InvalidInput, match="does not begin with its prompt"):
        answer_after(prompt, "y" * 63 + "no")


def test_a_text_that_is_not_of_its_prompt() -> None:
    with pytest.raises(InvalidInput, match="does not begin with its prompt"):
        answer_after("hi", "yes")
    with pytest.raises(InvalidInput, match="does not begin with its prompt"):
        answer_after("  ", "yes")


def sign_by_sign(prompt: str, text: str) -> str | None:
    """The answer to a prompt of which the text holds the end, found in the plainest way."""
    tail = [sign for sign in prompt if not sign.isspace()][-64:]
    signs = [(sign, at) for at, sign in enumerate(text) if not sign.isspace()]
    for start in range(len(signs) - len(tail) + 1):
        if [sign for sign, _ in signs[start : start + len(tail)]] == tail:
            return text[signs[start + len(tail) - 1][1] + 1 :]
    return None


def test_the_end_of_a_prompt_is_found_whatever_the_spaces_and_the_lengths() -> None:
    random = Random(0)

    def text(length: int) -> str:
        return "".join(
            random.choice(["a", "b", "c", " ", "\n", "\u3000", " " * random.choice([1, 5000])]) for _ in range(length)
        )

    for length in (1, 5, 63, 64, 65, 200, 3000) * 5:
        prompt = text(length) + "a"
        whole = text(random.choice([0, 3, 1000])) + " ".join(prompt.split())[-random.choice([70, 4096]) :] + " yes"
        if not whole.startswith(prompt) and (expected := sign_by_sign(prompt, whole)) is not None:
            assert answer_after(prompt, whole) == expected


def test_four_megabytes_that_begin_otherwise_take_no_many_times_their_size() -> None:
    text = "ab " * 1_300_000
    tracemalloc.start()
    with pytest.raises(InvalidInput, match="does not begin with its prompt"):
        answer_after(text + "c", text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(text)


def test_a_whole_text_is_parted_after_the_last_marker() -> None:
    assert split_text("Q: a A: b A: c</s>", "A:") == Answer("Q: a A: b A:", " c")
    assert split_text("Q: a</s>", None) == Answer(None, "Q: a")
    with pytest.raises(InvalidInput, match="A text does not hold 'B:', which answer_after names"):
        split_text("Q: a", "B:")
