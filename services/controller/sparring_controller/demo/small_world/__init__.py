"""A small world of instructions with exact answers: its prompts, answers of every kind, and a checker.

The demo's policy and judge were trained in it, and the demo's runs play in it.
"""

from .answers import AnswerKind, write
from .checker import Verdict, check
from .drawing import draw
from .questions import Question, Task, parse
from .splits import Split, prompts, split_of

__all__ = [
    "AnswerKind",
    "Question",
    "Split",
    "Task",
    "Verdict",
    "check",
    "draw",
    "parse",
    "prompts",
    "split_of",
    "write",
]
