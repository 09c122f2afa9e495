"""Requests made up from the judge's own OpenAPI file, sent to the service over a real small model: none may end in a 5xx."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from live_judge import served, wait_for
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation

from sparring_judge.engines.by_name import load_engine
from sparring_judge.queue.background_judge import BackgroundJudge
from sparring_judge.service.app import create_app
from sparring_judge.settings import JudgeSettings

FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),  # pyright: ignore[reportArgumentType]  # an enumeration's class lists its members
)


@schemathesis.serializer("application/msgpack")
def message_pack(_: schemathesis.SerializationContext, value: object) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, UnicodeEncodeError):  # made-up integers and texts that MessagePack cannot hold
        return repr(value).encode()


@pytest.fixture(scope="module")
def routes(small_judge: Path) -> Iterator[schemathesis.BaseSchema]:
    """The routes of a judge that is ready, at its address."""
    judge = JudgeSettings(model=str(small_judge), device="cpu", max_items=8, max_body_bytes=100_000)
    app = create_app(judge, BackgroundJudge(lambda: load_engine(judge), judge))
    with served(app) as (url, _):
        wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 200)
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def statuses(operation: APIOperation, mode: GenerationMode) -> set[int]:
    """With which statuses a route answers what is made up for it; none may be a server error."""
    seen: set[int] = set()

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case) -> None:
        answer = case.call()
        seen.add(answer.status_code)
        case.validate_response(answer, checks=[not_a_server_error])

    send()
    return seen


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_ends_in_a_server_error(routes: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    operations = [found.ok() for found in routes.get_all_operations() if isinstance(found, Ok)]
    if mode is GenerationMode.NEGATIVE:  # what takes nothing cannot be given anything wrong
        operations = [operation for operation in operations if operation.method == "post"]
    seen = {operation.label: statuses(operation, mode) for operation in operations}
    assert {"POST /v1/rank", "POST /v1/compare"} <= seen.keys()
    if mode is GenerationMode.POSITIVE:
        assert 200 in seen["POST /v1/rank"] & seen["POST /v1/compare"] & seen["GET /v1/judge"]
    else:
        assert seen["POST /v1/rank"] >= {422}
