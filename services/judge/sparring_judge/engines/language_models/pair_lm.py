"""The pair-lm engine: a causal language model reads a prompt with two answers and says A or B, as RLHFlow's preference models.

The question is `[CONTEXT] dialogue [RESPONSE A] a [RESPONSE B] b`, asked as the user's turn; the logit is that of the token A
less that of B where the answer begins, so that its sigmoid is P(A). Format: card of RLHFlow/pair-preference-model-LLaMA3-8B.
"""

from functools import partial

from sparring_judge.engines.engine import Engine
from sparring_judge.engines.language_models.chat_tokenizer import ChatTokenizer, Encoded, load_chat_tokenizer
from sparring_judge.engines.language_models.model_files import find_lm
from sparring_judge.engines.language_models.networks import load_letters
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.dialogue import plain_turns
from sparring_judge.tasks.task import Task
from sparring_judge.tasks.units import Limits, Plan, Reading, Unit, unit_key
from sparring_shared.errors import CheckpointMismatch, InvalidInput
from sparring_shared.records import JudgeRef, Message

_SPARE = 8  # texts that meet may be a few more tokens together than apart


class PairLmReader:
    """One unit, the ids of a question, for each ordered pair of distinct questions."""

    name = "pair-lm"

    def __init__(self, ref: JudgeRef, limits: Limits, tokenizer: ChatTokenizer) -> None:
        self.ref = ref
        self.limits = limits
        self._tokenizer = tokenizer
        self._frame = len(tokenizer.ids([self._question("", "", "")])[0].ids)
        if self._frame >= limits.source_max_tokens:
            raise InvalidInput(
                f"The question alone takes {self._frame} tokens of the {limits.source_max_tokens} for the prompt; raise "
                "SPARRING_JUDGE_SOURCE_MAX_TOKENS."
            )

    def plan(self, task: Task) -> Plan:
        """See `Reader`. Raises InvalidInput for a text that is not valid Unicode."""
        context, candidates, reading = self._cut(task)
        questions = {(i, j): self._question(context, candidates[i], candidates[j]) for i, j in task.games}
        distinct = {text: at for at, text in enumerate(dict.fromkeys(questions.values()))}
        return Plan(
            units=tuple(self._unit(one) for one in self._tokenizer.ids(list(distinct))),
            games={game: ((1.0, distinct[text]),) for game, text in questions.items()},
            reading=reading,
        )

    def _cut(self, task: Task) -> tuple[str, list[str], Reading]:
        """Dialogue and answers cut to the limits; each answer has half of what the dialogue leaves unused as well."""
        room = self.limits.source_max_tokens - self._frame
        context, tokens = self._tokenizer.cut(self._tokenizer.plain(plain_turns(task.conversation)), room)
        each = self.limits.candidate_max_tokens + (room - min(tokens, room)) // 2
        cut = [self._tokenizer.cut(self._tokenizer.plain(text), each) for text in task.candidates]
        counts = tuple(count for _, count in cut)
        reading = Reading(tokens, tokens > room, counts, tuple(count > each for count in counts))
        return context, [text for text, _ in cut], reading

    def _question(self, context: str, first: str, second: str) -> str:
        text = f"[CONTEXT] {context} [RESPONSE A] {first} [RESPONSE B] {second} \n"
        asked = self._tokenizer.dialogue([Message(role="user", content=text)], answer_next=True)
        return self._tokenizer.without_bos(asked)

    def _unit(self, question: Encoded) -> Unit:
        return Unit(unit_key(self.ref, question.ids), len(question.ids), question)


def load_pair_lm(settings: JudgeSettings) -> Engine:
    """The engine that the settings name, its weights not yet read.

    Raises NotFound or CheckpointMismatch with one sentence for a model that is not there or cannot judge pairs.
    """
    files = find_lm(settings)
    tokenizer = load_chat_tokenizer(files.folder, settings.trust_remote_code)
    if not tokenizer.has_template:
        raise CheckpointMismatch(f"The tokenizer of {files.folder} has no chat template; a pair-lm judge needs one.")
    letters = (tokenizer.one_token("A"), tokenizer.one_token("B"))
    limits = pair_limits(settings, files.window(tokenizer))
    return Engine(
        PairLmReader(files.ref_of(PairLmReader.name, limits), limits, tokenizer), partial(load_letters, files, letters)
    )


def pair_limits(settings: JudgeSettings, window: int) -> Limits:
    """A third of what the model reads to each answer, the rest to the dialogue and what stands around all three."""
    candidate = settings.candidate_max_tokens or (window - _SPARE) // 3
    return Limits(settings.source_max_tokens or window - _SPARE - 2 * candidate, candidate)
