"""The judge: preferences over the K candidates of each prompt."""

from collections.abc import Sequence
from copy import copy
from typing import Self

from pydantic import SecretStr

from sparring_controller.rounds.clients.bill import Bill, Spent, passes
from sparring_shared.client import ServiceClient
from sparring_shared.errors import Broken, InvalidInput
from sparring_shared.records import JudgeRef
from sparring_shared.wire.judge import DEADLINE_HEADER, Estimator, JudgeInfo, RankItem, RankRequest, RankResponse

_GRACE_SECONDS = 30.0
"""How much longer than its deadline an answer is waited for, so that it is the judge that says that it was too slow."""


class JudgeChanged(InvalidInput):
    """Another judge answers than the one that the run is pinned to."""


class JudgeClient:
    """Asks for a bounded number of items at a time, each request to be answered in `seconds`; answers come item for item.

    Once it is `pinned_to` a judge, an answer of any other is JudgeChanged; with a bill, a request beyond it is BillReached.
    Then it may ask for values that are computed alone, so that they are the same to the bit whenever they are asked for.
    """

    def __init__(self, url: str, token: SecretStr | None = None, seconds: float = 600.0) -> None:
        self.url = url
        self._service = ServiceClient("judge", url, token=token, timeout=seconds + _GRACE_SECONDS)
        self._headers = {DEADLINE_HEADER: str(seconds)}
        self._pinned: JudgeRef | None = None
        self._bill = Bill(None, None, Spent())
        self._alone = False

    def pinned_to(self, judge: JudgeRef | None, bill: Bill, *, alone: bool = False) -> Self:
        """The same client for a run that is pinned to this judge, or to none, and pays this bill."""
        client = copy(self)
        client._pinned, client._bill, client._alone = judge, bill, alone
        return client

    def info(self) -> JudgeInfo:
        """Which judge answers, and what one request may hold."""
        return self._service.call("GET", "/v1/judge", JudgeInfo)

    def rank(self, items: Sequence[RankItem], estimator: Estimator, *, fresh: bool = False) -> RankResponse:
        """Preference matrices, one per item or an error in its place; `fresh`: asked anew, even if the service remembers.

        Raises DeadlinePassed when the time was too short.
        """
        request = RankRequest(items=tuple(items), estimator=estimator, fresh=fresh, alone=self._alone)
        self._bill.allow(sum(passes(item) for item in items))
        response = self._service.call("POST", "/v1/rank", RankResponse, request, self._headers)
        self._check(response.judge)
        self._bill.add(response.items)
        if len(items) != len(response.items):
            raise Broken(f"The judge answered {len(response.items)} items where {len(items)} were asked for.")
        return response

    def close(self) -> None:
        """Give the connections back."""
        self._service.close()

    def _check(self, answered: JudgeRef) -> None:
        if self._pinned is not None and answered != self._pinned:
            raise JudgeChanged(
                f"The judge at {self.url} is {answered}, but the run is pinned to {self._pinned}; start that one again and "
                "resume the run, or accept the new one for its rest with `sparring resume --accept-judge`."
            )
