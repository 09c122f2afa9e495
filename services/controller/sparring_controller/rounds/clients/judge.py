"""The judge: preferences over the K candidates of each prompt."""

from collections.abc import Sequence

from pydantic import SecretStr

from sparring_shared.client import ServiceClient
from sparring_shared.errors import Broken
from sparring_shared.wire.judge import DEADLINE_HEADER, Estimator, RankItem, RankRequest, RankResponse

_GRACE_SECONDS = 30.0
"""How much longer than its deadline an answer is waited for, so that it is the judge that says that it was too slow."""


class JudgeClient:
    """Asks for a bounded number of items at a time, each request to be answered in `seconds`; answers come item for item."""

    def __init__(self, url: str, token: SecretStr | None = None, seconds: float = 600.0) -> None:
        self._service = ServiceClient("judge", url, token=token, timeout=seconds + _GRACE_SECONDS)
        self._headers = {DEADLINE_HEADER: str(seconds)}

    def rank(self, items: Sequence[RankItem], estimator: Estimator) -> RankResponse:
        """Preference matrices, one per item or an error in its place. Raises DeadlinePassed when the time was too short."""
        request = RankRequest(items=tuple(items), estimator=estimator)
        response = self._service.call("POST", "/v1/rank", RankResponse, request, self._headers)
        if len(items) != len(response.items):
            raise Broken(f"The judge answered {len(response.items)} items where {len(items)} were asked for.")
        return response

    def close(self) -> None:
        """Give the connections back."""
        self._service.close()
