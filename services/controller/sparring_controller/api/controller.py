"""What can be asked of the controller: make a run, have rounds played, pause, resume, cancel, look."""

import logging
import shutil
from dataclasses import dataclass
from secrets import token_hex

import tomli_w

from sparring_controller.api.base_model import base_checkpoint
from sparring_controller.api.judges import accepted, answering, bounded, named_judges, write_judges
from sparring_controller.api.lengths import check_lengths
from sparring_controller.api.run_status import completed_rounds, round_status, run_state, run_status
from sparring_controller.rounds.checkers import find_checker
from sparring_controller.rounds.clients import Services
from sparring_controller.rounds.doorbell import Doorbell
from sparring_controller.rounds.endings import to_be_ended
from sparring_controller.rounds.progress import advance
from sparring_controller.rounds.prompts.pinned import pin_prompts
from sparring_controller.rounds.prompts.rows import is_file_source
from sparring_controller.rounds.prompts.run_prompts import RunPrompts, read_prompts
from sparring_controller.settings import ControllerSettings
from sparring_controller.store import replies, runs, stages
from sparring_controller.store.clock import now
from sparring_controller.store.database import Connection, Database, DatabaseTrouble
from sparring_controller.store.records import RunRow, RunSnapshot
from sparring_controller.store.replies import Request
from sparring_shared.artifacts import replacing
from sparring_shared.errors import Conflict, InvalidInput, NotFound, SparringError
from sparring_shared.paths import RunPaths, within
from sparring_shared.prompt_sources import NamedSource
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.controller import (
    AS_IT_IS,
    ResumeRequest,
    RoundsAccepted,
    RoundStatus,
    RunList,
    RunStatus,
)
from sparring_shared.wire.trainer import CheckpointRef

log = logging.getLogger(__name__)

_CANCELLED = "The run was cancelled."


@dataclass(frozen=True)
class Controller:
    """The runs of one database. All that changes something takes a `Request`, so that it can be asked for twice."""

    settings: ControllerSettings
    database: Database
    doorbell: Doorbell
    services: Services

    def create(self, request: Request, config: RunConfig) -> RunStatus:
        """A new run, idle.

        Raises InvalidInput when its model, judge, prompts or lengths do not do, Unavailable when no judge answers.
        """
        known = self._answered(request)
        if known is not None:
            return known
        base, prompts = self._checked_base(config), self._checked_prompts(config)
        judges = named_judges(config, self.services)
        check_lengths(config, base, prompts.training, self.services.generator)
        run_id = f"{config.name}-{token_hex(3)}"
        places = RunPaths(self.settings.runs_dir, run_id)
        _write_config(places, config)
        write_judges(places, judges)
        pinned = pin_prompts(places, prompts)

        def effect(connection: Connection) -> RunStatus:
            row = RunRow(
                run_id=run_id,
                name=config.name,
                created_at=now(connection),
                config=config,
                base=base,
                prompts=pinned,
                judge=judges,
            )
            runs.add(connection, row)
            return run_status(RunSnapshot(run=row))

        created = replies.once(self.database, request, RunStatus, effect)
        if created.run_id != run_id:
            # The same request was answered in the meantime.
            shutil.rmtree(places.root)
        return created

    def play(self, request: Request, run_id: str, count: int) -> RoundsAccepted:
        """Have the next `count` rounds played; a run that had failed goes on where it stopped.

        Raises Conflict for a cancelled run, InvalidInput for a round that `prompts.rounds` has no prompts for.
        """

        def effect(connection: Connection) -> RoundsAccepted:
            run = _revived(connection, run_id)
            completed = completed_rounds(runs.outline(connection, run_id, "evaluate"))
            # The round that failed is the next one: it is played again, not one more.
            last = max(run.requested_rounds, completed + count) if run.control == "failed" else run.requested_rounds + count
            _require_prompts(run.config, last)
            runs.change(connection, run_id, requested_rounds=last, settled=False)
            first = min(run.requested_rounds + 1, last) if run.control != "failed" else completed + 1
            state = run_state(runs.outline(connection, run_id, "evaluate"))
            return RoundsAccepted(run_id=run_id, round=first, last_round=last, status=state)

        answer = replies.once(self.database, request, RoundsAccepted, effect)
        advance(self.database, self.doorbell, run_id)
        return answer

    def pause(self, request: Request, run_id: str) -> RunStatus:
        """Begin no further stage; what runs is finished. Raises Conflict for a run that has ended."""

        def effect(connection: Connection) -> RunStatus:
            run = runs.get(connection, run_id, lock=True)
            if run.control not in ("active", "paused"):
                raise Conflict(f"The run {run_id} has {run.control}; there is nothing to pause.")
            runs.change(connection, run_id, control="paused")
            return run_status(runs.outline(connection, run_id))

        return replies.once(self.database, request, RunStatus, effect)

    def resume(self, request: Request, run_id: str, wanted: ResumeRequest = AS_IT_IS) -> RunStatus:
        """Go on after a pause or a failure, with fresh attempts and nothing lost; if wanted with other judges or bounds.

        Raises Conflict for a cancelled run, Unavailable when no judge answers that is to be accepted.
        """
        asked = wanted.accept_judge and self._answered(request) is None
        found = answering(self._snapshot(run_id).run.config, self.services) if asked else None
        places = RunPaths(self.settings.runs_dir, run_id)

        def effect(connection: Connection) -> RunStatus:
            run = _revived(connection, run_id)
            config = bounded(run.config, wanted)
            if config != run.config:
                _write_config(places, config)
                runs.change_config(connection, run_id, config)
            if found is not None:
                begun = [row.round for row in runs.outline(connection, run_id, "generate").stages]
                judges = accepted(run.judge, found, max(begun, default=0) + 1)
                write_judges(places, judges)
                runs.change(connection, run_id, judge=judges.model_dump_json())
            return run_status(runs.outline(connection, run_id))

        answer = replies.once(self.database, request, RunStatus, effect)
        advance(self.database, self.doorbell, run_id)
        return answer

    def cancel(self, request: Request, run_id: str) -> RunStatus:
        """End the run for good: workers are fenced off, and the reconciler ends its training job. What is finished stays."""

        def effect(connection: Connection) -> RunStatus:
            runs.lock(connection, run_id)
            to_be_ended(connection, run_id, self.settings.trainer_seconds)
            stages.cancel(connection, run_id, _CANCELLED)
            runs.change(connection, run_id, control="cancelled", error=_CANCELLED)
            return run_status(runs.look(connection, run_id))

        return replies.once(self.database, request, RunStatus, effect)

    def run(self, run_id: str) -> RunStatus:
        """One run with its rounds. Raises NotFound."""
        with self.database.reading() as connection:
            found = runs.look(connection, run_id)
        return run_status(found)

    def every_run(self) -> RunList:
        """All runs, newest first, without their rounds."""
        with self.database.reading() as connection:
            found = [runs.look(connection, run_id, "evaluate") for run_id in runs.ids(connection)]
        return RunList(runs=tuple(run_status(each, with_rounds=False) for each in found))

    def round(self, run_id: str, number: int) -> RoundStatus:
        """One round. Raises NotFound for one that nobody asked for."""
        snapshot = self._snapshot(run_id)
        if not 0 <= number <= snapshot.run.requested_rounds:
            raise NotFound(f"The run {run_id} has no round {number}; {snapshot.run.requested_rounds} were asked for.")
        return round_status(snapshot, number)

    def missing(self) -> str | None:
        """What keeps the controller from being ready, in one sentence."""
        try:
            self.database.ping()
            self.doorbell.ping()
        except DatabaseTrouble as error:
            return f"The database does not answer ({type(error).__name__})."
        except SparringError as error:
            return error.message
        return None

    def close(self) -> None:
        """Give all connections back."""
        self.services.close()
        self.doorbell.close()
        self.database.close()

    def _answered(self, request: Request) -> RunStatus | None:
        with self.database.reading() as connection:
            return replies.find(connection, request, RunStatus)

    def _snapshot(self, run_id: str) -> RunSnapshot:
        with self.database.reading() as connection:
            return runs.outline(connection, run_id)

    def _checked_base(self, config: RunConfig) -> CheckpointRef:
        if config.evaluation.checker is not None:
            find_checker(config.evaluation.checker)
        return base_checkpoint(config.policy, self.settings.checkpoint_roots)

    def _checked_prompts(self, config: RunConfig) -> RunPrompts:
        apart = config.prompts.evaluation_source()
        for named in (*config.prompts.training_sources(), *([apart] if apart else [])):
            self._check_source(named)
        return read_prompts(config.prompts)

    def _check_source(self, named: NamedSource) -> None:
        try:
            if is_file_source(named.source.source):
                within(named.source.source, self.settings.prompt_file_roots)
        except InvalidInput as error:
            message = f"{named.key('source')}: {error.message} Set SPARRING_PROMPT_ROOTS to allow another folder."
            raise InvalidInput(message) from None


def _require_prompts(config: RunConfig, last_round: int) -> None:
    if config.prompts.rounds is not None and last_round > len(config.prompts.rounds):
        raise InvalidInput(
            f"There are no prompts for round {last_round}: prompts.rounds names {len(config.prompts.rounds)} sources; make a "
            "run with one for each round."
        )


def _revived(connection: Connection, run_id: str) -> RunRow:
    """Make a run active again; returns it as it was before."""
    run = runs.get(connection, run_id, lock=True)
    if run.control == "cancelled":
        raise Conflict(f"The run {run_id} was cancelled; start a new run.")
    if run.control != "active":
        stages.revive(connection, run_id)
        runs.change(connection, run_id, control="active", error=None, settled=False)
    return run


def _write_config(places: RunPaths, config: RunConfig) -> None:
    with replacing(places.config) as temporary:
        temporary.write_text(tomli_w.dumps(config.model_dump(mode="json", exclude_none=True)), encoding="utf-8")
