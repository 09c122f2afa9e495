"""What the doctor says of a machine: cards and their driver, memory, folders, disk, ports."""

import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ports import free_port

from sparring_controller.doctor.cards import Build, Card, Driver, cards, parsed, read_driver, torch_build, verdict
from sparring_controller.doctor.disk import room
from sparring_controller.doctor.folders import folder
from sparring_controller.doctor.installation import Port
from sparring_controller.doctor.machine import memory
from sparring_controller.doctor.models import Weights
from sparring_controller.doctor.ports import ports
from sparring_shared.errors import Unavailable
from sparring_shared.run_config import RunConfig

CPU = Build(version="2.13.0+cpu", cuda=None)
CUDA = Build(version="2.13.0+cu130", cuda="13.0")
H200 = Card(name="NVIDIA H200", total=143771, used=4)
DRIVER = Driver(version="580.65.06", cuda="13.0", cards=(H200, H200))
HERE = "2 x NVIDIA H200 (140 GiB), driver 580.65.06 (CUDA 13.0)"
SMI = """<?xml version="1.0" ?><!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log><driver_version>580.65.06</driver_version><cuda_version>13.0</cuda_version><attached_gpus>1</attached_gpus>
<gpu id="0"><product_name>NVIDIA H200</product_name><fb_memory_usage><total>143771 MiB</total><reserved>1 MiB</reserved>
<used>4 MiB</used></fb_memory_usage></gpu></nvidia_smi_log>"""


@pytest.mark.parametrize(
    ("build", "driver", "level", "says"),
    [
        (CPU, None, "ok", "No NVIDIA GPU is here; everything runs on the CPU."),
        (
            CUDA,
            None,
            "warning",
            "PyTorch 2.13.0+cu130 is a build for CUDA 13.0, but nvidia-smi shows no GPU; mend the driver, or install the build "
            "for CPUs (SPARRING_ACCELERATOR=cpu make setup).",
        ),
        (
            CPU,
            DRIVER,
            "warning",
            f"{HERE}, but PyTorch 2.13.0+cpu is a build for CPUs and leaves them idle; install the other with "
            "SPARRING_ACCELERATOR=cuda make setup.",
        ),
        (
            CUDA,
            DRIVER.model_copy(update={"version": "550.54.15", "cuda": "12.4"}),
            "wrong",
            "2 x NVIDIA H200 (140 GiB), driver 550.54.15 (CUDA 12.4) is too old for PyTorch 2.13.0+cu130, which is built for "
            "CUDA 13.0; install a newer driver, or a PyTorch for CUDA 12.",
        ),
        (None, DRIVER, "ok", f"{HERE}; PyTorch is not installed here, where only the controller runs."),
        (CUDA, DRIVER, "ok", f"{HERE}, PyTorch 2.13.0+cu130 for CUDA 13.0."),
    ],
)
def test_build_and_cards(build: Build | None, driver: Driver | None, level: str, says: str) -> None:
    found = verdict(build, driver)
    assert (found.level, found.says) == (level, says)


def test_cards_that_are_hidden_or_taken() -> None:
    hidden = verdict(CUDA, DRIVER, hidden=True)
    assert hidden.says == f"{HERE}, but CUDA_VISIBLE_DEVICES hides them all; unset it to use them."
    taken = DRIVER.model_copy(update={"cards": (H200, H200.model_copy(update={"used": 102400}))})
    assert verdict(CUDA, taken, ours=True).level == "ok"
    assert verdict(CUDA, taken, ours=False).says == (
        f"{HERE}, but 100.0 of 140 GiB are in use; end what holds it (nvidia-smi names it), or choose other cards."
    )


def smi(folder: Path, script: str) -> None:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)


def test_the_driver_is_asked_through_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert read_driver() is None
    smi(tmp_path, f"cat <<'END'\n{SMI}\nEND")
    assert read_driver() == Driver(version="580.65.06", cuda="13.0", cards=(H200,))
    smi(tmp_path, "echo 'NVIDIA-SMI has failed: no NVIDIA driver.'; exit 9")
    said = "nvidia-smi ended with 9 (NVIDIA-SMI has failed: no NVIDIA driver.); load or mend the driver."
    assert cards(ours=False)[0].says == said
    with pytest.raises(Unavailable, match=r"answers something that is no XML; mend the driver's installation\."):
        parsed("no devices")


def test_a_driver_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sparring_controller.doctor.cards.SECONDS", 0.2)
    smi(tmp_path, "exec sleep 60")
    with pytest.raises(Unavailable, match=r"does not end in 0.2 s: the driver hangs; restart the machine\."):
        read_driver()


def test_the_installed_build_is_read_without_importing_it() -> None:
    import torch

    assert torch_build() == Build(version=torch.__version__, cuda=torch.version.cuda)


def system(root: Path, limit: str = "max") -> Path:
    for name, text in {
        "proc/meminfo": "MemTotal:       8388608 kB\nMemFree:   1 kB\nMemAvailable:    6291456 kB\n",
        "proc/self/cgroup": "0::/user/shell\n",
        "sys/fs/cgroup/user/shell/memory.max": f"{limit}\n",
        "sys/fs/cgroup/user/shell/memory.current": f"{1 << 30}\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_memory_is_what_machine_and_container_allow(tmp_path: Path) -> None:
    assert memory(0, system(tmp_path))[0].says == "6.0 GiB of 8.0 GiB are available."
    assert memory(0, system(tmp_path, str(4 << 30)))[0].says == "3.0 GiB of 4.0 GiB are available."
    found = memory(1 << 30, system(tmp_path))[0]
    assert (found.level, found.says) == (
        "warning",
        "6.0 GiB of 8.0 GiB are available, but to train the policy on a CPU takes 12.0 GiB and more; end other programs, or "
        "take a GPU.",
    )


def says(place: Path) -> tuple[str, str]:
    [found] = folder("runs folder", place)
    return found.level, found.says


def test_a_folder_that_keeps_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("as it was")
    assert says(tmp_path) == ("ok", f"{tmp_path} can be written to, synced and renamed in.")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("kept", "as it was")]
    new = tmp_path / "a" / "b"
    assert says(new) == ("ok", f"{new} is not there yet; it is made when it is first needed.")
    assert not new.parent.exists()


def test_folders_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.touch()
    assert says(file) == ("wrong", f"{file} is no folder; remove it, or choose another folder.")
    assert says(file / "runs") == (
        "wrong",
        f"{file / 'runs'} is not there and cannot be made in {file}; make it, or choose another folder.",
    )
    # Nobody may make files here, not even root.
    level, said = says(Path("/proc"))
    assert (level, said.partition(" (")[0]) == ("wrong", "/proc cannot be written to")
    assert said.endswith("); give this user the right to, or choose another folder.")
    (tmp_path / "shm").symlink_to("/proc")
    assert says(tmp_path) == (
        "warning",
        f"{tmp_path} holds what lies on other file systems (shm), whose free space is not counted; move it.",
    )

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert says(tmp_path)[1].startswith(f"{tmp_path} cannot be written to (No space left on device);")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "shm"]


GIB = 1 << 30
SEVEN = Weights(parameters=7 * GIB, bytes=14 * GIB)
RUN = RunConfig.model_validate(
    {"name": "a", "rounds": 2, "policy": {"model": "m"}, "prompts": {"source": "p.jsonl"}, "training": {"optimizer": "adamw"}}
)


@pytest.mark.parametrize(
    ("free", "files", "weights", "level", "says"),
    [
        (900 * GIB, None, None, "ok", "900.0 GiB are free, what a run needs is not known without its model."),
        (
            9 << 20,
            None,
            None,
            "warning",
            "9.0 MiB are free, what a run needs is not known without its model, and answers and logs come on top; make room.",
        ),
        (
            900 * GIB,
            None,
            SEVEN,
            "ok",
            "900.0 GiB are free, the checkpoints of 2 rounds need about 280.0 GiB, 252.0 GiB of it only while they train.",
        ),
        (
            200 * GIB,
            None,
            SEVEN,
            "wrong",
            "200.0 GiB are free, the checkpoints of 2 rounds need about 280.0 GiB, 252.0 GiB of it only while they train; make "
            "room, or put the runs folder on another disk.",
        ),
        (900 * GIB, 12, SEVEN, "wrong", "Only 12 more files can be made; remove some, or put the runs folder on another disk."),
    ],
)
def test_room_for_a_run(free: int, files: int | None, weights: Weights | None, level: str, says: str) -> None:
    found = room(free, files, weights, RUN)
    assert (found.level, found.says) == (level, says)


@contextmanager
def listening(port: int, body: bytes) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def test_ports() -> None:
    judge, trainer = Port("judge", "127.0.0.1", free_port()), Port("trainer", "127.0.0.1", free_port())
    [free] = ports([judge, trainer])
    assert (free.level, free.says) == ("ok", f"{judge.port} (judge) is free, {trainer.port} (trainer) is free.")
    with listening(judge.port, b'{"status": "ready"}'):
        [ours] = ports([judge, trainer])
        assert ours.says == f"{judge.port} (judge) has a service, {trainer.port} (trainer) is free."
    with listening(judge.port, b"<html>"):
        [foreign] = ports([judge, trainer])
        assert (foreign.level, foreign.says) == (
            "wrong",
            f"Port {judge.port} on 127.0.0.1 is held by something that is no judge of ours; stop what listens there "
            "(`ss -ltnp` names it), set SPARRING_JUDGE_PORT to another, or use --free-ports.",
        )
    [same] = ports([judge, Port("trainer", "127.0.0.1", judge.port)])
    assert same.says == "Two services have the same port; set SPARRING_*_PORT to different ones, or use --free-ports."
