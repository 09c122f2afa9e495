import asyncio
import math

import pytest
from fake_engine import FakeEngine

from sparring_generator.probing import Prober
from sparring_shared.errors import Broken, InvalidInput
from sparring_shared.probe import Probe
from sparring_shared.wire.generator import ProbeResult

STORED = Probe(token_ids=(5, 9, 2), logprobs=(-1.0, -1.0))


def check(prober: Prober, engine: FakeEngine, loaded: str, stored: Probe | None = None) -> ProbeResult:
    engine.loaded = loaded
    return asyncio.run(prober.check(f"sha256:{loaded}", stored))


def test_a_stored_probe_must_match_within_the_tolerance() -> None:
    engine = FakeEngine({"a": -1.0, "near": -1.0009765625, "far": -1.001953125}, "a")
    prober = Prober(engine, 1e-3)
    assert check(prober, engine, "a", STORED) == ProbeResult(outcome="matched", max_difference=0.0)
    assert check(prober, engine, "near", STORED) == ProbeResult(outcome="matched", max_difference=0.0009765625)
    with pytest.raises(Broken, match=r"differ by 0\.00195 nats .* more than 0\.001"):
        check(prober, engine, "far", STORED)


def test_without_one_the_first_values_are_recorded_and_the_next_compared() -> None:
    engine = FakeEngine({"a": -1.0, "b": -2.0}, "a")
    prober = Prober(engine, 1e-3)
    assert check(prober, engine, "a") == ProbeResult(outcome="recorded")
    assert check(prober, engine, "b") == ProbeResult(outcome="recorded")
    assert check(prober, engine, "a") == ProbeResult(outcome="matched", max_difference=0.0)
    engine.says["b"] = -2.5
    with pytest.raises(Broken, match=r"differ by 0\.5 nats"):
        check(prober, engine, "b")


def test_weights_that_did_not_change_are_found_out() -> None:
    engine = FakeEngine({"a": -1.0, "stale": -1.0}, "a")
    prober = Prober(engine, 1e-3)
    check(prober, engine, "a")
    with pytest.raises(Broken, match="the weights did not change"):
        check(prober, engine, "stale")


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_values_must_be_finite(value: float) -> None:
    engine = FakeEngine({"a": value}, "a")
    with pytest.raises(Broken, match="not finite"):
        check(Prober(engine, 1e-3), engine, "a", STORED)


@pytest.mark.parametrize("token_ids", [(5, 100), tuple(range(16))])
def test_a_stored_probe_must_fit_the_running_model(token_ids: tuple[int, ...]) -> None:
    prober = Prober(FakeEngine({"a": -1.0}, "a"), 1e-3)
    with pytest.raises(InvalidInput, match="fewer than 16 tokens of a vocabulary of 100"):
        prober.admit(Probe(token_ids=token_ids, logprobs=(-1.0,) * (len(token_ids) - 1)))
    prober.admit(STORED)
    prober.admit(None)
