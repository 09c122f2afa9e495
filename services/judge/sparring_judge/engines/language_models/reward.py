"""The reward engine: a sequence classifier with one label rewards each answer; the logit is the difference of two rewards.

That is the Bradley-Terry model: P(i beats j) = sigmoid(r_i - r_j), without a position bias and always transitive.
"""

from functools import partial

from sparring_judge.engines.engine import Engine
from sparring_judge.engines.language_models.chat_tokenizer import ChatTokenizer, Encoded, load_chat_tokenizer
from sparring_judge.engines.language_models.model_files import find_lm
from sparring_judge.engines.language_models.networks import load_rewards
from sparring_judge.settings import JudgeSettings
from sparring_judge.tasks.dialogue import latest_that_fit
from sparring_judge.tasks.task import Task
from sparring_judge.tasks.units import Limits, Plan, Reading, Unit, unit_key
from sparring_shared.errors import CheckpointMismatch
from sparring_shared.records import JudgeRef, Message

_SPARE = 8  # texts that meet may be a few more tokens together than apart


class RewardReader:
    """One unit for each distinct answer to a prompt.

    Prompt and answer are written by the tokenizer's chat template; without one, as its pair of texts, the prompt first.
    """

    name = "reward"

    def __init__(self, ref: JudgeRef, limits: Limits, tokenizer: ChatTokenizer) -> None:
        self.ref = ref
        self.limits = limits
        self._tokenizer = tokenizer

    def plan(self, task: Task) -> Plan:
        """See `Reader`. Raises InvalidInput for a text that is not valid Unicode, or that the chat template refuses."""
        played = sorted({index for game in task.games for index in game})
        turns, texts, reading = self._cut(task)
        read = {index: self._encoded(turns, texts[index]) for index in played}
        distinct = {one: at for at, one in enumerate(dict.fromkeys(read.values()))}
        return Plan(
            units=tuple(Unit(unit_key(self.ref, one.ids, one.types), len(one.ids), one) for one in distinct),
            games={(i, j): ((1.0, distinct[read[i]]), (-1.0, distinct[read[j]])) for i, j in task.games},
            reading=reading,
        )

    def _cut(self, task: Task) -> tuple[list[Message], list[str], Reading]:
        """The latest turns that fit, the last one cut if it must be, and the answers, which have what the turns leave."""
        sent = task.conversation if self._tokenizer.has_template else (Message(role="user", content=task.prompt),)
        whole = [message.model_copy(update={"content": self._tokenizer.plain(message.content)}) for message in sent]
        frame = len(self._encoded([message.model_copy(update={"content": ""}) for message in whole], "").ids)
        room = self.limits.source_max_tokens - frame
        lengths = [self._tokenizer.cut(message.content, room)[1] for message in whole]
        start = latest_that_fit(lengths, [message.role for message in whole], room)
        turns = whole[start:]
        turns[-1] = turns[-1].model_copy(update={"content": self._tokenizer.cut(turns[-1].content, room)[0]})
        each = self.limits.candidate_max_tokens + max(0, room - sum(lengths[start:]))
        cut = [self._tokenizer.cut(self._tokenizer.plain(text), each) for text in task.candidates]
        counts = tuple(count for _, count in cut)
        reading = Reading(sum(lengths), sum(lengths) > room, counts, tuple(count > each for count in counts))
        return turns, [text for text, _ in cut], reading

    def _encoded(self, turns: list[Message], answer: str) -> Encoded:
        if not self._tokenizer.has_template:
            return self._tokenizer.pair(turns[-1].content, answer)
        said = self._tokenizer.dialogue([*turns, Message(role="assistant", content=answer)], answer_next=False)
        return self._tokenizer.ids([said])[0]


def load_reward(settings: JudgeSettings) -> Engine:
    """The engine that the settings name, its weights not yet read.

    Raises NotFound or CheckpointMismatch with one sentence for a model that is not there or has more than one label.
    """
    files = find_lm(settings)
    if files.labels != 1:
        raise CheckpointMismatch(f"The model in {files.folder} has {files.labels} labels; a reward model has num_labels = 1.")
    tokenizer = load_chat_tokenizer(files.folder, settings.trust_remote_code)
    window = files.window(tokenizer) - _SPARE
    candidate = settings.candidate_max_tokens or window // 2
    limits = Limits(settings.source_max_tokens or window - candidate, candidate)
    return Engine(RewardReader(files.ref_of(RewardReader.name, limits), limits, tokenizer), partial(load_rewards, files))
