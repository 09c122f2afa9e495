"""What a run's judges may compute, and what they have."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from sparring_shared.errors import InvalidInput
from sparring_shared.records import Record
from sparring_shared.wire.judge import ItemError, RankItem, RankResult


class Spent(Record):
    """Ordered pairs that were computed anew (of an endpoint: requests), and the tokens that were read for them."""

    requests: int = 0
    tokens: int = 0


class BillReached(InvalidInput):
    """The next request might cost more than the run may."""


@dataclass
class Bill:
    """The bounds of `judge.max_requests` and `judge.max_tokens`; `before` was spent by the stages that are done, `here` by this
    one."""

    max_requests: int | None
    max_tokens: int | None
    before: Spent
    here: Spent = field(default_factory=Spent)

    def allow(self, requests: int) -> None:
        """Raises BillReached when so many requests more may be too many, or the tokens are used up."""
        done = Spent(requests=self.before.requests + self.here.requests, tokens=self.before.tokens + self.here.tokens)
        if self.max_requests is not None and done.requests + requests > self.max_requests:
            raise _reached("max_requests", self.max_requests, f"asked {done.requests} times, and {requests} more are next")
        if self.max_tokens is not None and done.tokens >= self.max_tokens:
            raise _reached("max_tokens", self.max_tokens, f"read {done.tokens} tokens")

    def add(self, results: Iterable[RankResult | ItemError]) -> None:
        """Count what an answer says that it took."""
        told = [result for result in results if not isinstance(result, ItemError)]
        self.here = Spent(
            requests=self.here.requests + sum(result.passes - result.cache_hits for result in told),
            tokens=self.here.tokens + sum(result.new_tokens for result in told),
        )


def passes(item: RankItem) -> int:
    """Both orders of the pairs of an item, which is what a judge of pairs computes; 20 for five candidates."""
    return len(item.candidates) * (len(item.candidates) - 1) if item.pairs is None else 2 * len(item.pairs)


def _reached(key: str, bound: int, done: str) -> BillReached:
    option = "--" + key.replace("_", "-")
    return BillReached(
        f"judge.{key} is {bound} and the judges of the run have {done}; nothing is lost: raise it with "
        f"`sparring resume {option}`."
    )
