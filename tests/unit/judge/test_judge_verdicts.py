import math

import pytest

from sparring_judge.engines.chat_endpoint.question import fill
from sparring_judge.engines.chat_endpoint.verdicts import BOUND, SURE, Place, contrast, letter, logit


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A", SURE),
        (" B.", -SURE),
        ("**A**", SURE),
        ("[[B]]", -SURE),
        ("B is better because A is wrong", -SURE),
        ("Both name it, but A is shorter, so: B", -SURE),
        ("The better answer is A.", SURE),
        ("Between A and B it is a tie.", 0.0),
        ("Neither.", 0.0),
        ("Apples", 0.0),
        ("", 0.0),
    ],
)
def test_a_verdict_in_words(text: str, wanted: float) -> None:
    assert logit(text, []) == wanted


def test_the_letters_of_the_first_token_are_contrasted() -> None:
    likely = [("A", -0.2), ("B", -2.0), ("The", -5.0)]
    assert logit("A", [Place("A", likely)]) == pytest.approx(1.8)


def test_all_ways_to_write_a_letter_count() -> None:
    likely = [("A", math.log(0.3)), (" A", math.log(0.2)), ("**A", math.log(0.1)), ("B", math.log(0.2)), ("Apple", -0.1)]
    assert contrast(likely) == pytest.approx(math.log(0.6 / 0.2))


def test_a_letter_that_is_not_listed_is_as_likely_as_the_last_that_is() -> None:
    assert contrast([("A", -0.1), ("The", -3.1)]) == pytest.approx(3.0)
    assert contrast([("B", -0.1), ("The", -3.1)]) == pytest.approx(-3.0)


def test_log_probs_are_bounded() -> None:
    assert contrast([("A", 0.0), ("B", -9999.0)]) == BOUND


def test_an_answer_that_reasons_first_is_read_where_it_ends() -> None:
    places = [
        Place("Since", [("Since", -0.1), ("A", -3.0), ("B", -9.0)]),
        Place(" A", [(" A", -0.1), (" B", -0.2)]),
        Place(" errs", [(" errs", 0.0)]),
        Place(" B", [(" B", -0.5), (" A", -1.5)]),
        Place(".", [(".", 0.0)]),
    ]
    assert logit("Since A errs B.", places) == pytest.approx(-1.0)


def test_an_answer_without_a_letter_is_read_at_its_first_token() -> None:
    assert logit("The", [Place("The", [("The", -0.1), ("B", -3.0), ("A", -4.0)])]) == pytest.approx(-1.0)
    assert logit("The", [Place("The", [("The", -0.1)])]) == 0.0


def test_log_probs_without_letters_leave_the_words() -> None:
    assert logit("[[B]]", [Place("[[", [("[[", 0.0)]), Place("B]", [])]) == -SURE


@pytest.mark.parametrize(("token", "wanted"), [(" A", "A"), ("**B", "B"), ("A.", "A"), ("AB", None), ("a", None), ("", None)])
def test_tokens_that_are_letters(token: str, wanted: str | None) -> None:
    assert letter(token) == wanted


def test_a_question_is_filled_in_once() -> None:
    assert fill("{prompt}: {a} or {b}? {c}", {"prompt": "{b}", "a": "{prompt}", "b": "x"}) == "{b}: {prompt} or x? {c}"
