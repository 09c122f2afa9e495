"""A file that is not as its stage wrote it: that stage is done again, with what builds on it and was not trained on."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sparring_controller.rounds.planner import place
from sparring_controller.store import runs, stages
from sparring_controller.store.database import Connection
from sparring_controller.store.records import RunSnapshot, StageRow

MOST: Final = 3
"""How often a stage is done again because its file was damaged; then it is the disk that needs somebody."""

_ORDER: Final = ("prompts", "generate", "judge", "select", "train")


class Damaged(Exception):
    """A stage found that the file of another, `made_by`, is gone or holds something else."""

    def __init__(self, made_by: StageRow, path: str) -> None:
        super().__init__(path)
        self.made_by, self.path = made_by, path


class Undone(NamedTuple):
    """What was done about damage, in a sentence, and the keys of the stages that are to be planned anew."""

    said: str
    keys: list[str]


def building_on(snapshot: RunSnapshot, made: StageRow) -> list[StageRow]:
    """The stages that what `made` has made went into, as far as it was not trained on: that is never undone."""
    if made.stage == "evaluate":
        return [row for row in snapshot.stages if row.stage == "evaluate" and row.round > made.round]
    if made.stage == "train" or snapshot.done(made.round, "train"):
        return []
    later = _ORDER[_ORDER.index(made.stage) + 1 :]
    of_all = made.stage == "prompts"
    return [
        row
        for row in snapshot.of_round(made.round)
        if row.stage in later and (of_all or row.stage == "train" or row.shard == made.shard)
    ]


def do_again(connection: Connection, reader: StageRow, damaged: Damaged) -> Undone:
    """Have the file of a stage made anew; what waits for it is planned anew then, by the same key if it comes out the same.

    What was done with the file as it was stays done, until it turns out that the new one differs. A reader that was fenced off
    changes nothing; after `MOST` times it fails instead.
    """
    snapshot = runs.snapshot(connection, reader.run_id, lock=True)
    if not stages.held(connection, reader.key, reader.token):
        return Undone("the worker that found damage was fenced off", [])
    made = damaged.made_by
    said = f"{damaged.path} is not as it was written by this stage: {place(made.round, made.stage, made.shard)}"
    if made.damaged >= MOST:
        said += f". It was made {MOST} times anew; look at the disk, and at who else writes there, then resume the run."
        stages.fail(connection, reader.key, reader.token, said)
        return Undone(said, [])
    keys = [row.key for row in building_on(snapshot, made) if row.state != "done"]
    stages.do_again(connection, made.key)
    stages.undo(connection, keys)
    return Undone(f"{said}, which is done again.", keys)


def undo_what_differs(connection: Connection, row: StageRow, result: Mapping[str, Any]) -> list[str]:
    """A stage that was done again is about to commit: what builds on a file that it had made otherwise is undone."""
    if row.result is None or _files(row.result) == _files(result):
        return []
    keys = [each.key for each in building_on(runs.snapshot(connection, row.run_id, lock=True), row)]
    stages.undo(connection, keys)
    return keys


def _files(result: Mapping[str, Any]) -> list[Any]:
    return [result.get(name) for name in ("file", "files", "answers")]
