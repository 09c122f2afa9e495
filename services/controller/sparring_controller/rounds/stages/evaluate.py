"""Stage `evaluate`: policy t answers the held-out prompts, and the judge compares it with the base and with policy t-1."""

from collections import Counter

from sparring_controller.rounds.asking import evaluation_sampling, shown, with_system
from sparring_controller.rounds.clients.generator import Sampled, Sampling
from sparring_controller.rounds.draws import seed_of
from sparring_controller.rounds.prompts.pinned import heldout_prompts
from sparring_controller.rounds.stage_results import EvaluateResult
from sparring_controller.rounds.stages.answers import TOO_LONG, sample_all
from sparring_controller.rounds.stages.gpu import wait_for_trainer
from sparring_controller.rounds.stages.judgements import Judgements
from sparring_controller.rounds.stages.round_report import round_report
from sparring_controller.rounds.stages.turns import leave_turn, take_turn
from sparring_controller.rounds.stages.work import Done, Later, Work
from sparring_shared.errors import SparringError
from sparring_shared.records import Answer, PolicyRef, Prompt
from sparring_shared.wire.judge import RankItem


def evaluate(work: Work) -> Done | Later:
    """Answer, compare, report. The prompts are those that the base was asked, so every round is measured on the same."""
    number = work.row.round
    sampled = bool(work.kept(Answer))
    if not sampled and (later := wait_for_trainer(work) or take_turn(work, work.policy(number).digest)) is not None:
        return later
    answers, dropped = _answers(work, _heldout(work))
    leave_turn(work, number)
    folder = work.places.evaluation(number)
    file = work.write(folder / "answers.parquet", Answer, answers)
    judgements = Judgements(work, work.evaluation_judge)
    try:
        against_base = compare(work, judgements, answers, answers if number == 0 else _answers_of(work, 0), 0)
        beside_base = Counter(judgements.dropped)
        against_previous = against_base if number == 1 else None
        if number > 1:
            against_previous = compare(work, judgements, answers, _answers_of(work, number - 1), number - 1)
    except SparringError as error:
        return judgements.interrupted(error)
    beside_previous = judgements.dropped - beside_base
    dropped |= _reasons("evaluation", beside_base) | _reasons("evaluation against the previous policy", beside_previous)
    report = round_report(work, answers, against_base, against_previous, dropped)
    work.write_json(folder / "report.json", report.model_dump(mode="json"))
    return Done(EvaluateResult(answers=file, report=report.model_dump(mode="json"), spent=work.spent))


def compare(work: Work, judgements: Judgements, ours: list[Answer], theirs: list[Answer], version: int) -> list[float]:
    """P(ours beats that of the other version) for each prompt; the same text is a draw without asking the judge."""
    other = {answer.prompt.prompt_id: answer.candidate.text for answer in theirs}
    games: dict[str, RankItem] = {}
    for answer in (each for each in ours if each.prompt.prompt_id in other):
        texts = (answer.candidate.text, other[answer.prompt.prompt_id])
        # A worker that lost its claim may have kept other answers since: a judgement counts for these texts alone.
        name = f"{answer.prompt.prompt_id} against version {version}, texts {seed_of(*texts)}"
        games[name] = RankItem(prompt=shown(answer, templated=work.config.judge.templated), candidates=texts)
    draws = {name for name, game in games.items() if len(set(game.candidates)) == 1}
    judgements.ask({name: game for name, game in games.items() if name not in draws | judgements.matrices.keys()}, "pairwise")
    played = [name for name in games if name not in judgements.refused]
    return [0.5 if name in draws else judgements.matrices[name].probs[0][1] for name in played]


def _heldout(work: Work) -> list[Prompt]:
    if work.row.round > 0:
        return [answer.prompt for answer in _answers_of(work, 0)]
    heldout = heldout_prompts(work.snapshot.run, work.places)[: work.config.evaluation.prompts]
    return [with_system(prompt, work.config.sampling.system) for prompt in heldout]


def _answers(work: Work, prompts: list[Prompt]) -> tuple[list[Answer], Counter[str]]:
    """One answer each, kept for the next attempt. Every version draws with the same seeds, which takes noise out of the
    comparison."""
    config = work.config

    def sampling(prompt: Prompt) -> Sampling:
        return evaluation_sampling(config, seed_of(config.seed, "evaluation", prompt.prompt_id))

    answers = work.kept(Answer)
    if not answers:
        policy = work.policy(work.row.round)
        found, _ = sample_all(work, policy, prompts, sampling)
        answers = [_answer(prompt, found[prompt.prompt_id], policy.policy) for prompt in prompts if prompt.prompt_id in found]
        work.keep(Answer, answers)
    # What another attempt did not keep was not taken; the generator, which may serve another run by now, is left alone.
    return answers, _reasons("evaluation", +Counter({f"{TOO_LONG} or refused": len(prompts) - len(answers)}))


def _answer(prompt: Prompt, sampled: Sampled, policy: PolicyRef) -> Answer:
    return Answer(prompt=prompt, prompt_text=sampled.prompt_text, candidate=sampled.candidates[0], policy=policy)


def _reasons(where: str, dropped: Counter[str]) -> Counter[str]:
    return Counter({f"{where}, {reason}": count for reason, count in dropped.items()})


def _answers_of(work: Work, version: int) -> list[Answer]:
    return work.read(Answer, version, "evaluate")
