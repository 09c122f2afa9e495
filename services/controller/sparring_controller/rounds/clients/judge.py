"""The judge: preferences over the K candidates of each prompt, and between two answers."""

from collections.abc import Sequence
from copy import copy
from typing import Literal, Self

from pydantic import SecretStr

from sparring_controller.rounds.clients.bill import Bill, Spent, games
from sparring_shared.client import ServiceClient
from sparring_shared.errors import Broken, InvalidInput
from sparring_shared.records import JudgeRef
from sparring_shared.wire.judge import (
    CompareItem,
    CompareRequest,
    CompareResponse,
    JudgeInfo,
    RankItem,
    RankRequest,
    RankResponse,
)


class JudgeChanged(InvalidInput):
    """Another judge answers than the one that the run is pinned to."""


class JudgeClient:
    """Asks for a bounded number of items at a time; answers come item for item, each of them with the judge that gave it.

    Once it is `pinned_to` a judge, an answer of any other is JudgeChanged; with a bill, a request beyond it is BillReached.
    """

    def __init__(self, url: str, token: SecretStr | None = None) -> None:
        self.url = url
        self._service = ServiceClient("judge", url, token=token)
        self._pinned: JudgeRef | None = None
        self._bill = Bill(None, None, Spent())

    def pinned_to(self, judge: JudgeRef | None, bill: Bill) -> Self:
        """The same client for a run that is pinned to this judge, or to none, and pays this bill."""
        client = copy(self)
        client._pinned, client._bill = judge, bill
        return client

    def info(self) -> JudgeInfo:
        """Which judge answers, and what one request may hold."""
        return self._service.call("GET", "/v1/judge", JudgeInfo)

    def rank(self, items: Sequence[RankItem], estimator: Literal["pairwise", "official"]) -> RankResponse:
        """Preference matrices, one per item or an error in its place."""
        request = RankRequest(items=tuple(items), estimator=estimator)
        self._bill.allow(sum(games(item) for item in items))
        response = self._service.call("POST", "/v1/rank", RankResponse, request)
        self._check(response.judge)
        self._bill.add(response.items)
        _as_many(len(items), len(response.items))
        return response

    def compare(self, items: Sequence[CompareItem], *, fresh: bool = False) -> CompareResponse:
        """P(a beats b), one per item or an error in its place; `fresh`: asked anew, even if the service remembers."""
        request = CompareRequest(items=tuple(items), fresh=fresh)
        self._bill.allow(2 * len(items))
        response = self._service.call("POST", "/v1/compare", CompareResponse, request)
        self._check(response.judge)
        self._bill.add(response.items)
        _as_many(len(items), len(response.items))
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


def _as_many(asked: int, answered: int) -> None:
    if asked != answered:
        raise Broken(f"The judge answered {answered} items where {asked} were asked for.")
