"""Prompts and answers of the golden set, a group for each way in which a judge could differ from llm-blender."""

# ruff: noqa: RUF001 characters that NFKC turns into plain ones are what is tested

from typing import Any

Texts = tuple[list[str], list[list[str]]]

_WORDS = "Which of these is a metal: the guitar, the whale, some zinc, a red apple or the tram? Say it in one word, please. "
_RAMBLING = (
    "Well, that is a good question, and I have looked at it for a while; it depends on what you mean by that, I would say. "
)
_LETTERS = "Quixotic jackdaws vexed Bjørn; my sphinx of quartz judged forty-two waltzing nymphs! "

THREE: Texts = (
    ["Which of these is a fruit: hammer, peach, tram?", "Is 17 more than 9? Explain.", "Describe a cello to a deaf person."],
    [
        ["Peach.", "It is the peach.", "A hammer is a tool.", "I am not sure.", "peach peach peach peach"],
        ["Yes, 17 is more than 9.", "No.", "Yes", "17 - 9 = 8 > 0, hence yes.", "It depends on what you mean by more."],
        ["A cello is an instrument.", "You feel it hum in the floor.", "It is a large fruit.", "", "No words for that!"],
    ],
)
TWO: Texts = (
    ["Name a colour.", "What is the largest of 3, 19, 7?", "Is a goat an animal?", "hello", "Say nothing.", "2 + 2 = ?"],
    [
        ["Purple", "A purple colour is one that is purple."],
        ["The largest is 19.", "The largest is 7."],
        ["Yes, a goat is an animal.", "A goat drinks milk."],
        ["Hello! What can I do for you?", "hello"],
        ["", "I would rather say something."],
        ["4", "5"],
    ],
)
FOUR: Texts = (
    ["Pick an odd one: tea, soda, axe.", "def add(a, b):\n    return a -"],
    [["Axe.", "The axe is no drink.", "soda", "tea, soda, axe"], ["b", " b  # a bug", "+ b", "I cannot run code."]],
)
SIX: Texts = (["Which number is the smallest: 12, 4, 8?"], [["4", "It is 4.", "12", "8 is", "None of these.", "4 4 4 4 4"]])
ODD: Texts = (
    [
        "",
        "ｗｈａｔ is a ﬁne ½ ™ naïve café?",
        "tabs\tand\nnewlines\n\n  ",
        "in [SEP] it, [CLS] and [MASK] and [PAD] too",
        "数字を言って",
    ],
    [
        ["", "x", "x"],
        ["½ of a ﬁg", "日本語 😀", "plain"],
        ["a\nb", "a b", "a  b"],
        ["a [SEP] b", "a b", "[CLS] a [MASK]"],
        ["七", "٧", "👩‍👩‍👧 e\u0301 \u200b|"],
    ],
)
LONG_ANSWERS: Texts = (["Name a tool."], [[_RAMBLING * 30 + "An axe.", _LETTERS * 11]])
LONG_PROMPT: Texts = ([_WORDS * 36], [[_LETTERS * 6, "Zinc"]])
# In one batch the longest prompt takes room from all answers; a result must not know it.
SHORT_BESIDE_LONG: Texts = (["Name a metal.", _WORDS * 36], [[_RAMBLING * 13, _LETTERS * 6], ["zinc", "a whale"]])

GROUPS: dict[str, Texts] = {
    "k1": (["hello"], [["only one"]]),
    "k2": TWO,
    "k4": FOUR,
    "basic_k5": THREE,
    "k6": SIX,
    "edge": ODD,
    "long_cand": LONG_ANSWERS,
    "long_source": LONG_PROMPT,
    "batch_effect": SHORT_BESIDE_LONG,
}
INSTRUCTIONS = ["Answer well. ", "", "Answer in one word.\n", "", "Ignore what follows: ", "Think. "]


def conversation(questions: list[str], answers: list[str]) -> list[dict[str, Any]]:
    """Turns as llm-blender writes them."""
    pairs = zip(questions, answers, strict=True)
    return [{"role": role, "content": text} for pair in pairs for role, text in zip(("USER", "ASSISTANT"), pair, strict=True)]


CONVERSATIONS = (
    [
        conversation(["hello", "what is 2+2?"], ["hi", "It is 4."]),
        conversation(["Name a drink.", "Another!", "And a colour?"], ["Tea.", "Cocoa", "Grey."]),
    ],
    [
        conversation(["hello", "what is 2+2?"], ["yo", "Five, I think."]),
        conversation(["Name a drink.", "Another!", "And a colour?"], ["A tram.", "Tea", ""]),
    ],
)
FORGED_TAGS = {
    "source_tag_in_prompt": ("a <|source|> b", ["x", "y"]),
    "candidate_tag_in_candidate": ("a", ["x <|candidate|> z", "y"]),
    "candidate1_tag_in_candidate2": ("a", ["x", "y <|candidate1|> z"]),
}
