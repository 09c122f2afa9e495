"""Stage `evaluate`: policy t answers the held-out prompts, and the judge compares it with the base and with policy t-1."""

from collections import Counter
from dataclasses import dataclass, field

from sparring_controller.rounds.asking import evaluation_sampling, shown, with_system
from sparring_controller.rounds.clients.generator import Sampling
from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.prompts.pinned import heldout_prompts
from sparring_controller.rounds.stage_results import EvaluateResult
from sparring_controller.rounds.stages.answers import sample_all
from sparring_controller.rounds.stages.gpu import wait_for_trainer
from sparring_controller.rounds.stages.judge import ITEMS
from sparring_controller.rounds.stages.round_report import round_report
from sparring_controller.rounds.stages.work import Done, Later, Work
from sparring_shared.artifacts import read_records
from sparring_shared.records import Answer, Prompt
from sparring_shared.wire.judge import CompareItem, ItemError


@dataclass
class Comparisons:
    """P(policy t beats the other version) per held-out prompt, and what could not be compared, by reason."""

    probs: list[float] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


def evaluate(work: Work) -> Done | Later:
    """Answer, compare, report. The prompts are those that the base was asked, so every round is measured on the same."""
    if (later := wait_for_trainer(work)) is not None:
        return later
    number = work.row.round
    answers, dropped = _answers(work, _heldout(work))
    folder = work.places.evaluation(number)
    file = work.write(folder / "answers.parquet", Answer, answers)
    against_base = compare(work, answers, answers if number == 0 else _answers_of(work, 0))
    against_previous = None
    if number == 1:
        against_previous = against_base
    elif number > 1:
        against_previous = compare(work, answers, _answers_of(work, number - 1))
    dropped.update(against_base.dropped)
    report = round_report(work, answers, against_base.probs, against_previous and against_previous.probs, dropped)
    work.write_json(folder / "report.json", report.model_dump(mode="json"))
    return Done(EvaluateResult(answers=file, report=report.model_dump(mode="json")))


def compare(work: Work, ours: list[Answer], theirs: list[Answer]) -> Comparisons:
    """Each answer against the other version's to the same prompt; the same text is a draw without asking the judge."""
    found = Comparisons()
    other = {answer.prompt.prompt_id: answer.candidate.text for answer in theirs}
    asked: list[CompareItem] = []
    for answer in ours:
        text = other.get(answer.prompt.prompt_id)
        if text == answer.candidate.text:
            found.probs.append(0.5)
        elif text is not None:
            prompt = shown(answer, templated=work.config.judge.templated)
            asked.append(CompareItem(prompt=prompt, a=answer.candidate.text, b=text))
    for start in range(0, len(asked), ITEMS):
        work.check()
        for result in work.services.judge.compare(asked[start : start + ITEMS]).items:
            if isinstance(result, ItemError):
                found.dropped[f"evaluation, judge: {result.error.type}"] += 1
            else:
                found.probs.append(result.p_a)
    return found


def _heldout(work: Work) -> list[Prompt]:
    if work.row.round > 0:
        return [answer.prompt for answer in _answers_of(work, 0)]
    heldout = heldout_prompts(work.snapshot.run, work.places)[: work.config.evaluation.prompts]
    return [with_system(prompt, work.config.sampling.system) for prompt in heldout]


def _answers(work: Work, prompts: list[Prompt]) -> tuple[list[Answer], Counter[str]]:
    """One answer each. Every version draws with the same seeds, which takes noise out of the comparison."""
    config = work.config

    def sampling(prompt: Prompt) -> Sampling:
        return evaluation_sampling(config, seed_of(config.seed, "evaluation", prompt.prompt_id))

    policy = work.policy(work.row.round)
    found, dropped = sample_all(work, policy, prompts, sampling)
    answers = [
        Answer(prompt=prompt, prompt_text=sampled.prompt_text, candidate=sampled.candidates[0], policy=policy.policy)
        for prompt in prompts
        if (sampled := found.get(prompt.prompt_id)) is not None
    ]
    return answers, Counter({f"evaluation, {reason}": count for reason, count in dropped.items()})


def _answers_of(work: Work, version: int) -> list[Answer]:
    return read_records(work.places.evaluation(version) / "answers.parquet", Answer)
