"""What the service refuses, and how it starts; no job is run here."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from trainer_world import Service, World

from sparring_shared.artifacts import write_records
from sparring_shared.records import Pair


def refusal(service: Service, world: World, output: str = "bad", **changed: object) -> str:
    answer = service().put("/v1/jobs/bad", json=world.request(output, **changed).model_dump(mode="json"))
    assert answer.status_code == 422
    assert answer.json()["error"]["type"] == "invalid_input"
    assert not (world.root / "jobs" / "bad").exists()
    return answer.json()["error"]["message"]


def test_pairs_must_be_there_be_parquet_hold_rows_and_be_of_the_policy(world: World, service: Service) -> None:
    folder = world.pairs.parent
    (folder / "text.parquet").write_text("not Parquet")
    write_records(folder / "empty.parquet", Pair, [])
    pq.write_table(pq.read_table(world.pairs).drop_columns("chosen"), folder / "other.parquet")
    other = world.base.model_copy(update={"digest": "sha256:other"})

    for name in ("absent.parquet", "text.parquet"):
        assert f"{name} is not a Parquet file of Pair rows" in refusal(service, world, pairs=[str(folder / name)])
    assert "other.parquet lacks the columns chosen" in refusal(service, world, pairs=[str(folder / "other.parquet")])
    assert refusal(service, world, pairs=[str(folder / "empty.parquet")]).startswith("There are no pairs in ")
    assert "but sha256:other is to be trained" in refusal(service, world, policy=other)


def test_paths_must_lie_where_the_operator_allows(world: World, service: Service) -> None:
    (world.root / "runs" / "link").symlink_to("/etc")
    outside = world.base.model_copy(update={"path": "/etc"})
    empty = world.base.model_copy(update={"path": str(world.root / "models" / "nothing")})

    assert refusal(service, world, output="/tmp/elsewhere").startswith("/tmp/elsewhere lies outside the folders")
    assert "lies outside the folders" in refusal(service, world, output=str(world.root / "runs" / ".." / "escaped"))
    assert "lies outside the folders" in refusal(service, world, output=str(world.root / "runs" / "link" / "x"))
    assert "lies outside the folders" in refusal(service, world, pairs=[str(world.model / "config.json")])
    assert refusal(service, world, policy=outside).startswith("/etc lies outside the folders")
    assert "holds no model" in refusal(service, world, policy=empty)
    assert "holds no model" in refusal(service, world, reference=empty)


def test_inpo_needs_its_reference_and_an_output_must_be_free(world: World, service: Service) -> None:
    taken = world.root / "runs" / "checkpoints" / "taken"
    taken.mkdir(parents=True)

    assert refusal(service, world, algorithm={"name": "inpo"}) == ("INPO needs a reference: set `reference` to the base model.")
    assert refusal(service, world, output=str(taken)).endswith(
        "taken already holds something else; remove it or choose another output."
    )


def test_unknown_jobs_bad_ids_and_bad_bodies(world: World, service: Service) -> None:
    client = service()

    assert client.get("/v1/jobs/unknown").json()["error"]["message"] == "There is no job unknown; PUT it first."
    assert client.delete("/v1/jobs/unknown").status_code == 404
    assert client.get("/v1/jobs/.hidden").status_code == 422
    assert client.put("/v1/jobs/x", json={"policy": 1}).status_code == 422
    assert client.get("/readyz").json() == {"status": "ready"}


def test_a_folder_that_cannot_be_written_is_a_service_that_can_be_asked_again(world: World, service: Service) -> None:
    (world.root / "taken").write_text("a file where a folder is to be")
    answer = service(dir=world.root / "taken").put("/v1/jobs/a", json=world.request("a").model_dump(mode="json"))
    assert (answer.status_code, answer.json()["error"]["type"]) == (503, "unavailable")
    assert answer.json()["error"]["message"].startswith("The job a cannot be started (")


def start(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sparring_trainer"]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False)


def test_a_bad_setting_and_a_port_in_use_end_the_start_with_one_sentence(tmp_path: Path) -> None:
    bad = start(SPARRING_TRAINER_PORT="0")
    assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
    assert "port: Input should be greater than or equal to 1" in bad.stderr

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        busy = start(SPARRING_TRAINER_PORT=port, SPARRING_TRAINER_DIR=str(tmp_path))
    assert busy.returncode == 2
    assert f"port {port} on 127.0.0.1 is in use" in busy.stderr


@pytest.mark.parametrize("module", ["sparring_trainer", "sparring_trainer.service.app"])
def test_the_service_itself_never_loads_torch(module: str) -> None:
    script = f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0
