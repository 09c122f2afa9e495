"""What a stage can see of the stages that it builds on."""

from collections.abc import Iterator
from contextlib import contextmanager

from sparring_controller.store import runs, stages
from sparring_controller.store.database import Connection, Database
from sparring_controller.store.records import RunRow, StageRow
from sparring_shared.wire.controller import StageName


class Past:
    """A run as it was when one of its stages was claimed, and its other stages, each read when it is first asked for.

    Raises NotFound, and Unreadable for records of another Sparring.
    """

    def __init__(self, database: Database, run_id: str) -> None:
        self._database, self._run_id = database, run_id
        self._rounds: dict[int, tuple[StageRow, ...]] = {}
        self._found: dict[tuple[int, StageName, int], StageRow | None] = {}
        with self._reading() as connection:
            self.run: RunRow = runs.get(connection, run_id)

    def done(self, number: int, stage: StageName, shard: int = 0) -> StageRow | None:
        """The row of a stage that is done, with its result."""
        place = (number, stage, shard)
        if place not in self._found:
            with self._reading() as connection:
                self._found[place] = stages.at(connection, self._run_id, *place)
        row = self._found[place]
        return row if row is not None and row.state == "done" else None

    def of_round(self, number: int) -> tuple[StageRow, ...]:
        """All rows of a round, by stage and shard."""
        if number not in self._rounds:
            with self._reading() as connection:
                self._rounds[number] = stages.of_rounds(connection, self._run_id, (number,))
            self._found |= {(number, row.stage, row.shard): row for row in self._rounds[number]}
        return self._rounds[number]

    def named(self, *names: StageName) -> tuple[StageRow, ...]:
        """All rows of these stages, of whatever round."""
        with self._reading() as connection:
            return stages.named(connection, self._run_id, names)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._database.reading() as connection, runs.readable(connection, self._run_id):
            yield connection
