"""Generator bodies: the policy endpoints beside vLLM's own API."""

from typing import Annotated, Literal

from pydantic import Field

from sparring_shared.records import Record

POLICY_HEADER = "x-sparring-policy"
"""On a request: the digest that must be loaded, else 409 `policy_mismatch`. On every answer: the digest that made it."""


class PolicyLoad(Record):
    """Body of `PUT /v1/policy`: load the checkpoint at `path`, whose digest must be `digest`, as `version`."""

    version: Annotated[int, Field(ge=0)]
    digest: str
    path: str


class ProbeResult(Record):
    """How the loaded weights were checked.

    `matched`: the log-probs of a fixed text equal those stored with the checkpoint (`probe.json`) or seen when it was
    loaded before, up to `max_difference` nats. `recorded`: nothing was stored; the values are finite, differ from those of
    the weights before, and are kept for the next time.
    """

    outcome: Literal["matched", "recorded"]
    max_difference: float | None = None


class PolicyStatus(Record):
    """Answer of `GET` and `PUT /v1/policy`.

    `state` is `failed` after a load that did not end well: no sample is given until a policy is loaded again.
    """

    version: int
    digest: str
    path: str
    state: Literal["ready", "loading", "asleep", "failed"]
    probe: ProbeResult | None = None
