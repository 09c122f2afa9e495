"""For how long a job has told nothing new, by a clock that nobody sets."""

import time

from sparring_shared.wire.trainer import JobStatus


class Standstill:
    """Watches one job at a time: it is asked at each look, and only looks count."""

    def __init__(self) -> None:
        self._seen: JobStatus | None = None
        self._since = 0.0

    def seconds(self, status: JobStatus) -> float:
        """Since when this is what the job says, in seconds; another status, of whichever job, counts from 0."""
        if status != self._seen:
            self._seen, self._since = status, time.monotonic()
        return time.monotonic() - self._since
