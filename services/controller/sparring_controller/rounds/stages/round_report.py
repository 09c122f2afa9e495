"""The report of a round: what is known of a policy once it has been evaluated."""

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from sparring_controller.rounds.checkers import RIGHT, find_checker
from sparring_controller.rounds.estimates import Estimate, estimate, win
from sparring_controller.rounds.planner import dropped as dropped_in_round
from sparring_controller.rounds.stage_results import (
    GenerateResult,
    JudgeResult,
    PromptsResult,
    SelectResult,
    TrainResult,
    distinct,
)
from sparring_controller.rounds.stages.work import Work, evaluation_service
from sparring_shared.algorithms import against
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Answer, JudgeRef, Record
from sparring_shared.wire.controller import AcceptedJudge
from sparring_shared.wire.judge import Estimator


class CheckerReport(Record):
    """The exact checker's share of right answers with a 95% interval, and how many answers got each verdict."""

    right: float
    low: float
    high: float
    verdicts: dict[str, int]


class JudgesReport(Record):
    """Where the round's probabilities come from.

    `training` gave the preferences that were trained on (none in round 0), `evaluation` compared the answers (None in a run of
    an older Sparring). Without `pinned` a revision does not say which weights answered; `drift` is then how much the
    probabilities of fixed pairs had changed in the mean when the round began. `accepted`: what the operator has accepted so far
    in place of a judge.
    """

    training: tuple[JudgeRef, ...]
    evaluation: JudgeRef | None
    estimator: Estimator
    pinned: bool
    drift: float | None
    accepted: tuple[AcceptedJudge, ...]


class CandidateReport(Record):
    """How long all answers were that the round sampled: mean tokens, thinking and end of turn included, and mean characters
    as they are judged. `at_limit_share` met `max_tokens`, `unfinished` were left out (`sampling.drop_unfinished`)."""

    answers: int
    mean_tokens: float
    mean_characters: float
    at_limit_share: float
    unfinished: int


class RoundReport(Record):
    """`rounds/<t>/evaluation/report.json`, and `report` of `GET /v1/runs/{id}/rounds/{t}`.

    `prompts` held-out prompts were answered. Win rates count a win as 1 and a draw as 0.5; `mean_p_vs_base` is the mean
    judge probability instead. Log-ratios (nats, mean over pairs after training) and `training` are those of the job (in it
    `chosen_tokens` and `rejected_tokens` are of whole answers, `cut_*` and `lost_tokens` what training cut).
    `truncated_share` of the held-out answers ended at `max_tokens`; of the candidates the judge saw `judge_truncated_share`
    only in part. `pairs` are one a prompt, but with selection `all` K / 2 for an even K, and K for an odd one, where every
    answer stands in two. `seconds` are per stage, over all its shards. `against` says which policy each log-ratio of the loss
    is against. What training tells is None, or empty, for round 0; `judges` is None in the report of an older Sparring.
    """

    round: int
    version: int
    prompts: int
    win_rate_vs_base: Estimate
    win_rate_vs_previous: Estimate | None
    mean_p_vs_base: float
    checker: CheckerReport | None
    mean_answer_tokens: float
    chosen_logratio: float | None
    rejected_logratio: float | None
    training: dict[str, float]
    pairs: int
    dropped: dict[str, int]
    truncated_share: float
    judge_truncated_share: float | None
    seconds: dict[str, float]
    against: dict[str, str] = Field(default_factory=dict)
    judges: JudgesReport | None = None
    candidates: CandidateReport | None = None


def round_report(
    work: Work,
    answers: list[Answer],
    probs_vs_base: Sequence[float],
    probs_vs_previous: Sequence[float] | None,
    dropped: Counter[str],
) -> RoundReport:
    """Put together what the evaluation found and what the round's stages left. Raises InvalidInput if nothing was compared."""
    number = work.row.round
    if not probs_vs_base or (probs_vs_previous is not None and not probs_vs_previous):
        listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(dropped.items())) or "no answers"
        raise InvalidInput(f"No held-out answer of version {number} could be compared ({listed}); check the held-out prompts.")
    training = work.result(TrainResult, number, "train").metrics if number else {}
    return RoundReport(
        round=number,
        version=number,
        prompts=len(answers),
        win_rate_vs_base=estimate([win(p) for p in probs_vs_base]),
        win_rate_vs_previous=estimate([win(p) for p in probs_vs_previous]) if probs_vs_previous else None,
        mean_p_vs_base=estimate(probs_vs_base).value,
        checker=checked(work.config.evaluation.checker, answers) if work.config.evaluation.checker else None,
        mean_answer_tokens=sum(len(answer.candidate.token_ids) for answer in answers) / len(answers),
        chosen_logratio=training.get("final_chosen_logratio"),
        rejected_logratio=training.get("final_rejected_logratio"),
        training=training,
        pairs=sum(result.file.rows for result in work.results(SelectResult, number, "select")),
        dropped=dropped_in_round(work.snapshot.of_round(number)) | dict(dropped),
        truncated_share=sum(answer.candidate.finish_reason == "length" for answer in answers) / len(answers),
        judge_truncated_share=_judge_truncated(work),
        seconds=_seconds(work),
        against=against(work.config.algorithm, number) if number else {},
        judges=_judges(work),
        candidates=_candidates(work),
    )


def checked(name: str, answers: list[Answer]) -> CheckerReport:
    """Check every answer exactly. Raises InvalidInput for a checker that is not installed or does not know a prompt."""
    check = find_checker(name)
    try:
        verdicts = [check(answer.prompt.messages[-1].content, answer.candidate.text) for answer in answers]
    except ValueError as error:
        raise InvalidInput(f"evaluation.checker {name} cannot read a prompt: {error}; leave the checker out.") from None
    right = estimate([float(verdict == RIGHT) for verdict in verdicts])
    counts = Counter(str(verdict) for verdict in verdicts)
    return CheckerReport(right=right.value, low=right.low, high=right.high, verdicts=dict(sorted(counts.items())))


def _judges(work: Work) -> JudgesReport:
    service, _ = evaluation_service(work.config)
    pinned, judges = work.pinned(service), work.snapshot.run.judge
    return JudgesReport(
        training=distinct(judge for result in work.results(JudgeResult, work.row.round, "judge") for judge in result.judges),
        evaluation=pinned and pinned.ref,
        estimator=work.config.judge.estimator,
        pinned=judges is not None and all(each.pinned for each in judges.pinned.values()),
        drift=work.result(PromptsResult, work.row.round, "prompts").drift if work.row.round else None,
        accepted=judges.accepted if judges else (),
    )


def _candidates(work: Work) -> CandidateReport | None:
    shards = [result.lengths for result in work.results(GenerateResult, work.row.round, "generate")]
    answers = sum(shard.answers for shard in shards)
    if not answers:
        return None
    return CandidateReport(
        answers=answers,
        mean_tokens=sum(shard.tokens for shard in shards) / answers,
        mean_characters=sum(shard.characters for shard in shards) / answers,
        at_limit_share=sum(shard.at_limit for shard in shards) / answers,
        unfinished=sum(shard.unfinished for shard in shards),
    )


def _judge_truncated(work: Work) -> float | None:
    results = work.results(JudgeResult, work.row.round, "judge")
    candidates = sum(result.candidates for result in results)
    return sum(result.truncated for result in results) / candidates if candidates else None


def _seconds(work: Work) -> dict[str, float]:
    total: dict[str, float] = {}
    for row in work.snapshot.of_round(work.row.round):
        total[row.stage] = total.get(row.stage, 0.0) + (row.seconds or 0.0)
    total["evaluate"] = work.seconds
    return {stage: round(seconds, 3) for stage, seconds in total.items()}
