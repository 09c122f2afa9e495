"""Values on disk, by the digest of the judge and of what it read: what was once computed, or paid for, is not again."""

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from sparring_shared.errors import InvalidInput

_log = logging.getLogger(__name__)
_AT_ONCE = 500


class KeptValues:
    """An SQLite file that several judges may share; used by one thread. Raises InvalidInput for one that cannot be opened.

    A disk that fails later costs what was kept, never an answer.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, timeout=5, isolation_level=None)
            # A power cut may lose the latest values, which are then computed again; with OFF it might damage the file.
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
                self._file.execute(f"PRAGMA {pragma}")
            self._file.execute("CREATE TABLE IF NOT EXISTS kept (key BLOB PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID")
        except (OSError, sqlite3.Error) as error:
            raise InvalidInput(
                f"SPARRING_JUDGE_KEPT: {path} cannot be used ({error}); give a file in a folder to write to."
            ) from None

    def values(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """The values of those keys that are known."""
        found: dict[bytes, float] = {}
        try:
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                places = ",".join("?" * len(part))
                found |= dict(self._file.execute(f"SELECT key, value FROM kept WHERE key IN ({places})", part))
        except sqlite3.Error as error:
            _log.warning("kept values cannot be read: %s", error)
        return found

    def add(self, values: Mapping[bytes, float]) -> None:
        """Keep values; a later one takes the place of an earlier."""
        try:
            with self._file:
                self._file.execute("BEGIN IMMEDIATE")
                self._file.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", values.items())
        except sqlite3.Error as error:
            _log.warning("values cannot be kept: %s", error)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()
