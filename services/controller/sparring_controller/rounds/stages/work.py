"""What a stage gets to work with, and what it hands back."""

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from sparring_controller.rounds.clients import JudgeClient, Services
from sparring_controller.rounds.clients.bill import Bill, Spent
from sparring_controller.rounds.damage import Damaged
from sparring_controller.rounds.stage_results import TrainResult, file_of
from sparring_controller.settings import DETERMINISTIC_AT_ONCE, ControllerSettings
from sparring_controller.store.database import Database
from sparring_controller.store.past import Past
from sparring_controller.store.records import FileRef, StageRow
from sparring_shared.artifacts import read_records, replacing, write_json, write_records
from sparring_shared.errors import Broken, FileDamaged, InvalidInput
from sparring_shared.hashes import file_sha256
from sparring_shared.paths import RunPaths
from sparring_shared.records import Record
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.controller import PinnedJudge, StageName
from sparring_shared.wire.trainer import CheckpointRef

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)


def evaluation_service(config: RunConfig) -> tuple[str, str]:
    """Which judge evaluates, by its name in SPARRING_JUDGE_URLS, and the key of the run config that says so."""
    if config.evaluation.judge is not None:
        return config.evaluation.judge, "evaluation.judge"
    return config.judge.service, "judge.service"


@dataclass(frozen=True)
class Done:
    """The stage's work is finished; `result` is committed with its files."""

    result: Record


@dataclass(frozen=True)
class Later:
    """The work goes on elsewhere, or waits for its turn; look again in `seconds`, with this `progress` at hand."""

    seconds: float
    progress: dict[str, Any] | None = None
    error: str | None = None


class GotFurther(Broken):
    """Long work failed, after it had got further than ever before: its attempts start anew."""


@dataclass
class Work:
    """One claimed stage. `check()` raises Fenced when the claim is lost; `answered`: a service has done part of the work.

    Files are staged in a folder of the claim and appear in their places by `publish()`, which the worker calls in the very
    transaction that commits: a worker that lost its claim never replaces what its successor wrote.
    """

    snapshot: Past
    row: StageRow
    settings: ControllerSettings
    services: Services
    check: Callable[[], None]
    database: Database
    answered: bool = False
    _staged: dict[Path, Path] = field(default_factory=dict)
    _claimed: float = field(default_factory=time.monotonic)

    @property
    def config(self) -> RunConfig:
        """The run's config."""
        return self.snapshot.run.config

    @property
    def places(self) -> RunPaths:
        """The run's files."""
        return RunPaths(self.settings.runs_dir, self.row.run_id)

    @property
    def seconds(self) -> float:
        """Since the stage began: by the database's clock until it was claimed, by this machine's from there."""
        claimed = self.row.lease_until - self.settings.lease_seconds
        began = claimed if self.row.started_at is None else self.row.started_at
        return claimed - began + time.monotonic() - self._claimed

    @property
    def answers_at_once(self) -> int:
        """How many prompts are asked about at a time."""
        return DETERMINISTIC_AT_ONCE if self.config.deterministic else self.settings.sampling_concurrency

    @property
    def joins_answers(self) -> bool:
        """Whether the answers of several attempts at a shard may be put together: each had other company."""
        return not self.config.deterministic

    @property
    def judge(self) -> JudgeClient:
        """The judge whose preferences are trained on; it answers as the one that the run is pinned to, or not at all."""
        return self._judge(self.config.judge.service, "judge.service")

    @property
    def evaluation_judge(self) -> JudgeClient:
        """The judge of the evaluation, pinned likewise."""
        return self._judge(*evaluation_service(self.config))

    @property
    def spent(self) -> Spent:
        """What the judges have computed for this stage, earlier attempts that put something aside included."""
        return self._bill.here

    @cached_property
    def _bill(self) -> Bill:
        bounds = self.config.judge.max_requests, self.config.judge.max_tokens
        # Every stage of the run that asks a judge is read for this: only where there is a bound.
        rows = () if bounds == (None, None) else self.snapshot.named("prompts", "judge", "evaluate")
        spent = [Spent.model_validate(row.result.get("spent", {})) for row in rows if row.result]
        total = Spent(requests=sum(each.requests for each in spent), tokens=sum(each.tokens for each in spent))
        return Bill(*bounds, total, self._spent_before())

    def _spent_before(self) -> Spent:
        """What earlier attempts at this stage have spent, as far as they could say so."""
        try:
            return Spent.model_validate_json(self._spent_file.read_bytes())
        except (FileNotFoundError, ValidationError):
            return Spent()

    def pinned(self, service: str) -> PinnedJudge | None:
        """The judge of that name that the run is pinned to, None in a run of an older Sparring."""
        judges = self.snapshot.run.judge
        return judges.pinned.get(service) if judges else None

    def policy(self, version: int) -> CheckpointRef:
        """The checkpoint of a policy version; 0 is the base."""
        return self.snapshot.run.base if version == 0 else self.result(TrainResult, version, "train").checkpoint

    def result(self, kind: type[R], round_number: int, stage: StageName, shard: int = 0) -> R:
        """The result of a stage that this one builds on."""
        row = self.snapshot.done(round_number, stage, shard)
        assert row is not None, f"{stage} of round {round_number} is not done; the planner must not have created this stage"
        return kind.model_validate(row.result)

    def results(self, kind: type[R], round_number: int, stage: StageName) -> list[R]:
        """The results of all shards of a stage that are done, in their order."""
        rows = self.snapshot.of_round(round_number)
        return [kind.model_validate(row.result) for row in rows if (row.stage, row.state) == (stage, "done")]

    def read(self, kind: type[R], round_number: int, stage: StageName, shard: int = 0) -> list[R]:
        """The records that another stage wrote. Raises Damaged where its file is not as it committed it."""
        row, file = self._made(round_number, stage, shard)
        try:
            return read_records(self.places.root / file.path, kind, file.sha256)
        except FileDamaged:
            raise Damaged(row, file.path) from None

    def verified(self, round_number: int, stage: StageName, shard: int = 0) -> FileRef:
        """The file that another stage wrote, for others to read. Raises Damaged likewise."""
        row, file = self._made(round_number, stage, shard)
        path = self.places.root / file.path
        if not path.is_file() or file_sha256(path) != file.sha256:
            raise Damaged(row, file.path)
        return file

    def write(self, path: Path, kind: type[R], records: Iterable[R]) -> FileRef:
        """Stage a Parquet shard."""
        rows = write_records(self._stage(path), kind, records)
        return FileRef(path=str(path.relative_to(self.places.root)), sha256=file_sha256(self._staged[path]), rows=rows)

    def write_json(self, path: Path, value: Any) -> None:
        """Stage a JSON file."""
        write_json(self._stage(path), value)

    def keep(self, kind: type[R], records: Iterable[R]) -> None:
        """Put aside what this attempt has got, so that the next does not ask for it again. Raises Fenced."""
        self.keep_spent()
        write_records(self._kept(kind), kind, records)

    def keep_spent(self) -> None:
        """Have the next attempt know what this one has spent. Raises Fenced."""
        self.check()
        write_json(self._spent_file, self.spent.model_dump())

    def kept(self, kind: type[R]) -> list[R]:
        """What an earlier attempt at this stage put aside; nothing where that cannot be read, as it can all be had again."""
        path = self._kept(kind)
        try:
            return read_records(path, kind) if path.exists() else []
        except InvalidInput as error:
            log.warning("what was put aside is not used: %s", error.message)
            return []

    def keep_whole(self, record: Record) -> None:
        """Put one record aside likewise, in the place of the last of its kind. Raises Fenced."""
        self.check()
        with replacing(self._kept(type(record), "json")) as temporary:
            temporary.write_text(record.model_dump_json(), encoding="utf-8")

    def kept_whole(self, kind: type[R]) -> R | None:
        """The record of this kind that an earlier attempt put aside; None where there is none that can be read."""
        try:
            return kind.model_validate_json(self._kept(kind, "json").read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            log.warning("what was put aside is not used: it is no %s", kind.__name__)
            return None

    def publish(self) -> None:
        """Give the staged files their names, for good."""
        for path, staged in self._staged.items():
            staged.replace(path)
        for folder in {path.parent for path in self._staged}:
            descriptor = os.open(folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)

    def forget(self, *keys: str) -> None:
        """Remove what was kept for another attempt at these stages, which are committed or undone."""
        for key in keys:
            shutil.rmtree(self.places.kept(key), ignore_errors=True)

    def discard(self) -> None:
        """Remove what was staged and not published, by this claim or by an earlier one that was lost; never a later one's."""
        for folder in self.places.staged.glob(f"{self.row.key}.*"):
            if int(folder.suffix[1:]) <= self.row.token:
                shutil.rmtree(folder, ignore_errors=True)

    def _made(self, round_number: int, stage: StageName, shard: int) -> tuple[StageRow, FileRef]:
        row = self.snapshot.done(round_number, stage, 0 if stage == "prompts" else shard)
        assert row is not None, f"{stage} of round {round_number} is not done; the planner must not have created this stage"
        return row, file_of(row, shard)

    def _kept(self, kind: type[Record], suffix: str = "parquet") -> Path:
        return self.places.kept(self.row.key) / f"{kind.__name__}.{suffix}"

    @property
    def _spent_file(self) -> Path:
        return self.places.kept(self.row.key) / "spent.json"

    def _judge(self, service: str, key: str) -> JudgeClient:
        pinned = self.pinned(service)
        return self.services.judge(service, key).pinned_to(pinned and pinned.ref, self._bill, alone=self.config.deterministic)

    def _stage(self, path: Path) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = self.places.staged / f"{self.row.key}.{self.row.token}"
        return self._staged.setdefault(path, folder / path.relative_to(self.places.root))
