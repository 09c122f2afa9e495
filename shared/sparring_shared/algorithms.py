"""The methods of a run config, one record each, and which policies their log-ratios are against.

pi_t ("previous") is the policy of the round before, which gave the answers; the "reference" is another fixed policy. Log-probs
are sums over answer tokens unless a record's `logprobs` says mean. The losses are in `sparring_trainer.learning.losses`.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sparring_shared.records import Record

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Interval = Annotated[int, Field(ge=1)]
ReferenceName = Literal["previous", "base"]
Reduction = Literal["sum", "mean"]


class SppoConfig(Record):
    """SPPO, eq. 4.7: regress each log-ratio on eta (win rate - baseline). Here eta multiplies.

    `targets` "pair" takes P(chosen beats rejected) and its complement for the win rates (eq. 4.12). `forward_kl` and
    `reverse_kl` weigh RSPO's regularisers (arXiv 2503.00030), KL(ref || pi) and KL(pi || ref) in nats; the reference is the
    base, reset to the policy of the round before every `reset_every` rounds. `similarity_gate` in [0, 1] is how far the win
    rates of two equal answers are drawn to 1/2, as in S-SPPO (arXiv 2606.01561).
    """

    name: Literal["sppo"] = "sppo"
    eta: Positive = 1000.0
    baseline: Share = 0.5
    targets: Literal["win_rates", "pair"] = "win_rates"
    forward_kl: NotNegative = 0.0
    reverse_kl: NotNegative = 0.0
    reset_every: Interval | None = None
    similarity_gate: Share = 0.0

    @model_validator(mode="after")
    def _reset_has_a_reference(self) -> Self:
        if self.reset_every is not None and not self.regularised:
            raise ValueError("reset_every is given, but SPPO has no reference; set forward_kl or reverse_kl, or leave it out")
        return self

    @property
    def regularised(self) -> bool:
        """Whether a reference is needed."""
        return self.forward_kl > 0 or self.reverse_kl > 0


class InpoConfig(Record):
    """INPO, eq. 8: regress the margin, less its reference parts, on 1 / (2 eta). Here eta divides; 0 <= tau <= eta.

    Without `tau` it is eta / 3, as in the paper. The reference is the base model throughout the run; with `reset_every` it
    becomes the policy of the round before every so many rounds, which is COMAL (arXiv 2410.23223).
    """

    name: Literal["inpo"] = "inpo"
    eta: Positive = 0.005
    tau: Annotated[float, Field(ge=0)] | None = None
    reset_every: Interval | None = None

    @model_validator(mode="after")
    def _tau_within_eta(self) -> Self:
        if self.tau is not None and self.tau > self.eta:
            raise ValueError(f"tau must lie between 0 and eta, but tau is {self.tau} and eta is {self.eta}")
        return self

    @property
    def tau_value(self) -> float:
        """tau, or its default eta / 3."""
        return self.eta / 3 if self.tau is None else self.tau


class DpoConfig(Record):
    """Iterative DPO: -log sigmoid(beta (D_pi - D_ref)); the reference is pi_t, or the base throughout."""

    name: Literal["dpo"] = "dpo"
    beta: Positive = 0.1
    reference: ReferenceName = "previous"


class IpoConfig(Record):
    """Iterative IPO: (D_pi - D_ref - 1 / (2 tau))^2. `logprobs` "mean" divides by the answer's tokens, as TRL does."""

    name: Literal["ipo"] = "ipo"
    tau: Positive = 0.001
    reference: ReferenceName = "previous"
    logprobs: Reduction = "sum"


class KtoConfig(Record):
    """KTO on pairs (`kto_pair` of the SPPO scripts): each answer against the KL estimate of the other half of a step's pairs.

    The estimate costs one more forward pass over the step, which makes it about a third longer on a CPU.
    """

    name: Literal["kto"] = "kto"
    beta: Positive = 0.1
    reference: ReferenceName = "previous"


class MnpoConfig(Record):
    """MNPO (arXiv 2509.23102): the margin, less a weighted history of past policies, regressed on 1 / (2 eta).

    `weights[j]` is that of the policy j rounds before pi_t, as parts of their sum: `[2, 1]` are 2/3 on pi_t and 1/3 on
    pi_{t-1}. Before the base there is only the base. The public code uses `logprobs` "mean".
    """

    name: Literal["mnpo"] = "mnpo"
    eta: Positive = 0.0075
    weights: Annotated[tuple[NotNegative, ...], Field(min_length=1)] = (2.0, 1.0)
    logprobs: Reduction = "sum"

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if sum(self.weights) <= 0:
            raise ValueError(f"weights must hold a positive number, but it is {list(self.weights)}")
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        """The weights divided by their sum."""
        return tuple(weight / sum(self.weights) for weight in self.weights)


class GpoConfig(Record):
    """GPO (arXiv 2410.02197): regress each log-ratio on its mean judge logit / beta; log Z is taken as 0."""

    name: Literal["gpo"] = "gpo"
    beta: Positive = 0.001


class RebelConfig(Record):
    """REBEL (arXiv 2404.16767): regress (D_pi - D_t) / eta on the difference of the win rates."""

    name: Literal["rebel"] = "rebel"
    eta: Positive = 1000.0


Algorithm = Annotated[
    SppoConfig | InpoConfig | DpoConfig | IpoConfig | KtoConfig | MnpoConfig | GpoConfig | RebelConfig,
    Field(discriminator="name"),
]


def reference_version(algorithm: Algorithm, round_number: int) -> int | None:
    """Which policy version is the reference in a round from 1 on; None for a method without one."""
    match algorithm:
        case SppoConfig(regularised=False) | MnpoConfig() | GpoConfig() | RebelConfig():
            return None
        case SppoConfig(reset_every=every) | InpoConfig(reset_every=every):
            return 0 if every is None else (round_number - 1) // every * every
        case DpoConfig(reference=reference) | IpoConfig(reference=reference) | KtoConfig(reference=reference):
            return round_number - 1 if reference == "previous" else 0


def history_versions(algorithm: Algorithm, round_number: int) -> tuple[int, ...]:
    """Versions of the past policies that MNPO's `weights` stand for in a round, newest first; none for other methods."""
    if not isinstance(algorithm, MnpoConfig):
        return ()
    return tuple(max(round_number - 1 - back, 0) for back in range(len(algorithm.weights)))


def against(algorithm: Algorithm, round_number: int) -> dict[str, str]:
    """Which policy each log-ratio of a round is against, for people.

    Example: `against(InpoConfig(), 2)` is `{"previous": "version 1", "reference": "version 0, the base"}`.
    """
    said = {"previous": f"version {round_number - 1}"}
    version = reference_version(algorithm, round_number)
    if version is not None:
        said["reference"] = f"version {version}, {_why(algorithm, version)}"
    if isinstance(algorithm, MnpoConfig):
        shares = zip(algorithm.shares, history_versions(algorithm, round_number), strict=True)
        said["history"] = ", ".join(f"{share:.3g} of version {version}" for share, version in shares)
    return said


def _why(algorithm: Algorithm, version: int) -> str:
    if isinstance(algorithm, DpoConfig | IpoConfig | KtoConfig) and algorithm.reference == "previous":
        return "the round before"
    return "the base" if version == 0 else f"reset after round {version}"


PAIRWISE_ONLY = (InpoConfig, DpoConfig, IpoConfig, KtoConfig, MnpoConfig, RebelConfig)
"""Methods that learn from which of two answers is better, not from each answer by itself."""


def needs_win_rates(algorithm: Algorithm) -> bool:
    """Whether the loss looks at more of the judgements than which of the two answers won."""
    return isinstance(algorithm, GpoConfig | RebelConfig) or (
        isinstance(algorithm, SppoConfig) and algorithm.targets == "win_rates"
    )


def unusable(algorithm: Algorithm, selection: Literal["best_worst", "knockout", "all", "random"]) -> str | None:
    """Why a method cannot be trained on what a selection gives, in a clause; None if it can."""
    if selection == "all" and isinstance(algorithm, PAIRWISE_ONLY):
        return f"selection all trains every answer on its own win rate, but {algorithm.name} learns from pairs; use best_worst"
    if selection == "all" and isinstance(algorithm, SppoConfig) and algorithm.targets == "pair":
        return "selection all trains every answer on its own win rate, but algorithm.targets is pair; use win_rates"
    if selection == "all" and isinstance(algorithm, SppoConfig) and algorithm.similarity_gate:
        return "algorithm.similarity_gate compares chosen and rejected, but selection all has none; use best_worst"
    if selection == "knockout" and needs_win_rates(algorithm):
        return f"selection knockout judges too few pairs for the win rates that {algorithm.name} needs; use best_worst"
    return None
