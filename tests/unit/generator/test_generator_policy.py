import asyncio
from pathlib import Path

import pytest
from fake_engine import FakeEngine
from small_checkpoint import write_checkpoint

from sparring_generator.policy import ServedPolicy, read_base
from sparring_shared.artifacts import publish_checkpoint, weights_digest
from sparring_shared.errors import Broken, Conflict, InvalidInput
from sparring_shared.probe import Probe, write_probe
from sparring_shared.wire.generator import PolicyLoad, PolicyStatus


def start(tmp_path: Path, engine: FakeEngine) -> ServedPolicy:
    base = read_base(write_checkpoint(tmp_path / "base"), trust_remote_code=False)
    for fill, name in enumerate(["next", "broken"], start=1):
        write_checkpoint(tmp_path / name, fill=fill)
    policy = ServedPolicy(engine, base, [tmp_path], tolerance=1e-3, trust_remote_code=False)
    asyncio.run(policy.start())
    return policy


def load(policy: ServedPolicy, folder: Path, version: int = 1) -> PolicyStatus:
    return asyncio.run(policy.load(PolicyLoad(version=version, digest=weights_digest(folder), path=str(folder))))


def test_a_damaged_checkpoint_is_refused_and_a_foreign_manifest_is_not_asked(tmp_path: Path) -> None:
    engine = FakeEngine({"base": -1.0, "next": -2.0}, "base")
    policy = start(tmp_path, engine)
    (tmp_path / "next" / "manifest.json").write_text('{"start_url": "/"}')
    assert load(policy, tmp_path / "next").state == "ready"
    (tmp_path / "next" / "manifest.json").unlink()
    digest = publish_checkpoint(tmp_path / "next", tmp_path / "1", version=1)
    weights = tmp_path / "1" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x11")
    with pytest.raises(InvalidInput, match=r"1 is damaged: model\.safetensors differ"):
        asyncio.run(policy.load(PolicyLoad(version=1, digest=digest, path=str(tmp_path / "1"))))


def test_it_starts_with_version_0_and_loads_the_next(tmp_path: Path) -> None:
    engine = FakeEngine({"base": -1.0, "next": -2.0}, "base")
    policy = start(tmp_path, engine)
    assert (policy.status.version, policy.status.state, policy.missing()) == (0, "ready", None)
    status = load(policy, tmp_path / "next")
    assert (status.version, status.path, status.state) == (1, str(tmp_path / "next"), "ready")
    assert load(policy, tmp_path / "next", version=2).version == 2
    assert engine.calls == ["reload next"]


def test_a_load_that_fails_gives_no_samples_until_one_succeeds(tmp_path: Path) -> None:
    engine = FakeEngine({"base": -1.0}, "base")
    policy = start(tmp_path, engine)
    with pytest.raises(Broken, match="could not load broken"):
        load(policy, tmp_path / "broken")
    assert policy.status.state == "failed"
    assert "did not load" in (policy.missing() or "")
    assert load(policy, tmp_path / "base", version=0).state == "ready"
    assert engine.calls == ["reload broken", "reload base"]


def test_a_base_whose_probe_does_not_match_is_not_served(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "base")
    write_probe(folder, Probe(token_ids=(5, 9), logprobs=(-1.5,)))
    base = read_base(folder, trust_remote_code=False)
    policy = ServedPolicy(FakeEngine({"base": -1.0}, "base"), base, [], tolerance=1e-3, trust_remote_code=False)
    asyncio.run(policy.start())
    assert policy.status.state == "failed"


def test_a_probe_that_cannot_be_read_is_refused_before_the_weights_change(tmp_path: Path) -> None:
    engine = FakeEngine({"base": -1.0, "next": -2.0}, "base")
    policy = start(tmp_path, engine)
    write_probe(tmp_path / "next", Probe(token_ids=(5, 400), logprobs=(-1.5,)))
    with pytest.raises(InvalidInput, match="a vocabulary of 100"):
        load(policy, tmp_path / "next")
    assert (engine.calls, policy.missing()) == ([], None)


def test_asleep_it_loads_nothing_and_wakes_with_the_policy_that_slept(tmp_path: Path) -> None:
    engine = FakeEngine({"base": -1.0, "next": -2.0}, "base", can_sleep=True)
    policy = start(tmp_path, engine)
    load(policy, tmp_path / "next")
    assert asyncio.run(policy.sleep()).state == "asleep"
    assert "POST /v1/policy/wake" in (policy.missing() or "")
    with pytest.raises(Conflict, match="asleep"):
        load(policy, tmp_path / "base")
    status = asyncio.run(policy.wake())
    assert (status.version, status.state, status.probe and status.probe.outcome) == (1, "ready", "matched")
    assert engine.calls == ["reload next", "sleep", "wake", "reload next"]
