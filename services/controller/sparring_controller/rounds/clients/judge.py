"""The judge: preferences over the K candidates of each prompt, and between two answers."""

from collections.abc import Sequence
from typing import Literal

from pydantic import SecretStr

from sparring_shared.client import ServiceClient
from sparring_shared.errors import Broken
from sparring_shared.wire.judge import CompareItem, CompareRequest, CompareResponse, RankItem, RankRequest, RankResponse


class JudgeClient:
    """Asks for a bounded number of items at a time; answers come item for item."""

    def __init__(self, url: str, token: SecretStr | None = None) -> None:
        self._service = ServiceClient("judge", url, token=token)

    def rank(self, items: Sequence[RankItem], estimator: Literal["pairwise", "official"]) -> RankResponse:
        """Preference matrices, one per item or an error in its place."""
        request = RankRequest(items=tuple(items), estimator=estimator)
        response = self._service.call("POST", "/v1/rank", RankResponse, request)
        _as_many(len(items), len(response.items))
        return response

    def compare(self, items: Sequence[CompareItem]) -> CompareResponse:
        """P(a beats b), one per item or an error in its place."""
        response = self._service.call("POST", "/v1/compare", CompareResponse, CompareRequest(items=tuple(items)))
        _as_many(len(items), len(response.items))
        return response

    def close(self) -> None:
        """Give the connections back."""
        self._service.close()


def _as_many(asked: int, answered: int) -> None:
    if asked != answered:
        raise Broken(f"The judge answered {answered} items where {asked} were asked for.")
