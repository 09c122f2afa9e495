"""The controller as the command line sees it: runs are made, played, resumed and looked at over HTTP."""

from uuid import uuid4

from sparring_shared.client import ServiceClient
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.controller import AS_IT_IS, ResumeRequest, RoundsAccepted, RoundsRequest, RunList, RunStatus


class RunsClient:
    """One controller. `key` makes a POST safe to repeat: the same key has its effect once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._service = ServiceClient("controller", url)

    def create(self, config: RunConfig, key: str | None = None) -> RunStatus:
        """Make a run; it is idle until rounds are asked for."""
        return self._service.call("POST", "/v1/runs", RunStatus, config, _headers(key))

    def play(self, run_id: str, rounds: int, key: str | None = None) -> RoundsAccepted:
        """Ask for the next rounds."""
        body = RoundsRequest(count=rounds)
        return self._service.call("POST", f"/v1/runs/{run_id}/rounds", RoundsAccepted, body, _headers(key))

    def resume(self, run_id: str, wanted: ResumeRequest = AS_IT_IS) -> RunStatus:
        """Let a run that is paused, failed or stopped half-way go on, up to the last round of its config; if wanted with other
        judges or bounds."""
        status = self.run(run_id)
        if wanted != AS_IT_IS or status.status in ("paused", "failed"):
            status = self._service.call("POST", f"/v1/runs/{run_id}/resume", RunStatus, wanted, _headers(None))
        rounds = status.known_config.rounds
        if status.requested_rounds < rounds:
            self.play(run_id, rounds - status.requested_rounds)
        return self.run(run_id)

    def run(self, run_id: str) -> RunStatus:
        """One run with its rounds. Raises NotFound."""
        return self._service.call("GET", f"/v1/runs/{run_id}", RunStatus)

    def runs(self) -> RunList:
        """All runs, newest first."""
        return self._service.call("GET", "/v1/runs", RunList)


def _headers(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid4().hex}
