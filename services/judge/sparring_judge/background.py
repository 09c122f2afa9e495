"""The judge of this process: loaded in the background, so that the service answers meanwhile, and used by one at a time."""

import logging
import threading
from collections.abc import Callable, Sequence

from anyio import CapacityLimiter, to_thread

from sparring_judge.engine import Judge, Judgement, Task
from sparring_shared.errors import Broken, SparringError, Unavailable

_WARM_UP = Task("Which is ready?", ("This one.", "The other."), ((0, 1), (1, 0)))
_log = logging.getLogger(__name__)


class BackgroundJudge:
    """Loads a judge with `load` once started; `on_failure` is called, in the loading thread, if that fails."""

    def __init__(self, load: Callable[[], Judge], on_failure: Callable[[], None] = lambda: None) -> None:
        self.failure: SparringError | None = None
        self._load = load
        self._on_failure = on_failure
        self._judge: Judge | None = None
        self._one_at_a_time: CapacityLimiter | None = None

    def start(self) -> None:
        """Begin to load; called in the event loop that will ask for judgements."""
        self._one_at_a_time = CapacityLimiter(1)
        threading.Thread(target=self._load_and_warm_up, name="load-judge", daemon=True).start()

    def missing(self) -> str | None:
        """None when ready, else one sentence that says why not."""
        if self.failure is not None:
            return self.failure.message
        return None if self._judge is not None else "The judge is still loading; try again in a moment."

    @property
    def current(self) -> Judge:
        """The judge. Raises Unavailable while it is not loaded."""
        if self._judge is None:
            raise Unavailable(self.missing() or "The judge is not loaded.")
        return self._judge

    async def judge(self, tasks: Sequence[Task]) -> list[Judgement | SparringError]:
        """Judge in a worker thread, after those who asked before. Raises Unavailable, or Broken when the engine fails."""
        judge = self.current
        try:
            return await to_thread.run_sync(judge.judge, tasks, limiter=self._one_at_a_time)
        except (RuntimeError, MemoryError) as error:
            _log.exception("the engine failed")
            raise Broken(f"The engine failed ({type(error).__name__}); see the log of the judge.") from error

    def _load_and_warm_up(self) -> None:
        try:
            judge = self._load()
            (tried,) = judge.judge([_WARM_UP])
            if isinstance(tried, SparringError):
                raise tried
        except SparringError as error:
            self.failure = error
        except Exception as error:  # noqa: BLE001 a thread has nobody above it: the failure is recorded and ends the service
            _log.exception("the judge could not be loaded")
            self.failure = Broken(f"The judge could not be loaded: {type(error).__name__}: {error}.")
        else:
            self._judge = judge
            _log.info("judge %s (%s) is ready on %s", judge.ref.name, judge.ref.revision, judge.device)
        if self.failure is not None:
            self._on_failure()
