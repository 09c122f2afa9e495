"""Trainer bodies: `GET /v1/jobs`; `PUT`, `GET`, `DELETE /v1/jobs/{job_id}`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sparring_shared.algorithms import Algorithm
from sparring_shared.records import JudgeRef, PolicyRef, Record
from sparring_shared.run_config import TrainingConfig
from sparring_shared.wire.judge import Estimator


class CheckpointRef(Record):
    """A Hugging Face folder and the policy that it holds."""

    version: Annotated[int, Field(ge=0)]
    digest: str
    path: str

    @property
    def policy(self) -> PolicyRef:
        """Which weights these are."""
        return PolicyRef(version=self.version, digest=self.digest)


class JobRequest(Record):
    """Train `policy` (pi_t) on the pairs and write the next version to `output`.

    `reference` is pi_ref, for a method that has one; `history` are the past policies that MNPO's weights stand for, newest
    (pi_t) first. `pairs` are Parquet files of `Pair` rows, and `pairs_sha256` their hashes, where they are known: another file
    in the place of one is FileDamaged. `output` must not exist or must be this job's own. All paths lie under the runs folder,
    except checkpoints, which may lie under a model root. `judges` and `estimator` say where the pairs' probabilities come from;
    they are kept in the checkpoint's `training.json`.
    """

    policy: CheckpointRef
    reference: CheckpointRef | None = None
    history: tuple[CheckpointRef, ...] = ()
    pairs: Annotated[tuple[str, ...], Field(min_length=1)]
    pairs_sha256: tuple[str, ...] = ()
    output: str
    version: Annotated[int, Field(ge=1)]
    algorithm: Algorithm
    training: TrainingConfig
    seed: int = 0
    judges: tuple[JudgeRef, ...] = ()
    estimator: Estimator | None = None

    @model_validator(mode="after")
    def _hashes_are_of_all(self) -> Self:
        if self.pairs_sha256 and len(self.pairs_sha256) != len(self.pairs):
            raise ValueError(f"pairs_sha256 has {len(self.pairs_sha256)} hashes of {len(self.pairs)} files; give all, or none")
        return self

    def asks_for(self, other: "JobRequest") -> bool:
        """Whether this request, as it was stored, perhaps by a Sparring that knew no hashes of pairs, is for the same job."""
        return self in (other, other.model_copy(update={"pairs_sha256": ()}))

    @property
    def pair_files(self) -> list[tuple[Path, str | None]]:
        """Each file of pairs with its hash, None where that is not known."""
        return list(zip(map(Path, self.pairs), self.pairs_sha256 or [None] * len(self.pairs), strict=True))


JobState = Literal["running", "succeeded", "failed", "cancelled"]


PhaseName = Literal["loading", "scoring", "training", "saving"]


class JobPhase(Record):
    """What a running job does: `done` of `total` micro-batches where it scores answers or trains, of the current step then."""

    name: PhaseName
    done: int = 0
    total: int | None = None

    def __str__(self) -> str:
        """For people, e.g. `scoring, 3 of 40 micro-batches`."""
        return self.name if self.total is None else f"{self.name}, {self.done} of {self.total} micro-batches"


class JobStatus(Record):
    """Answer of the job endpoints.

    `metrics` are the latest of the training loop (loss, loss_scaled, chosen_logratio, rejected_logratio, margin, target_gap,
    kl, learning_rate, grad_norm ...; log-ratios in nats), of a job that has succeeded means of its last epoch, with lengths
    and cuts (chosen_tokens, rejected_tokens, cut_answers, cut_prompts, lost_tokens). `eta_seconds` is None until a step is
    done. `checkpoint` stands once `state` is `succeeded`, `error` once it is `failed`, with `error_type` as in the body of an
    error: after `unavailable` the same job can go on (the service was stopped, the disk was full), after `invalid_input` and
    `diverged` it would fail the same way. `phase` is the latest that the job has told.
    """

    job_id: str
    state: JobState
    step: int
    total_steps: int | None
    metrics: dict[str, float]
    eta_seconds: float | None
    checkpoint: CheckpointRef | None
    error: str | None
    error_type: str | None = None
    phase: JobPhase | None = None


class RunningJob(Record):
    """Answer of `GET /v1/jobs`: the job that runs now, None if none does."""

    job_id: str | None
