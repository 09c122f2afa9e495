"""Files of a claim until they are committed: its own, and of nobody else's business but its successors'."""

from pathlib import Path
from typing import Any

from playing import play, rows, start

from sparring_controller.api.controller import Controller
from sparring_controller.rounds.stages import Work
from sparring_controller.rounds.worker import Worker
from sparring_controller.store.past import Past
from sparring_shared.artifacts import read_records
from sparring_shared.records import Message, Prompt

ONE, OTHER = (Prompt(prompt_id=text, messages=(Message(role="user", content=text),)) for text in ("one", "other"))


def claimed(controller: Controller, worker: Worker, config: dict[str, Any], tokens: tuple[int, ...]) -> list[Work]:
    """The same stage as several workers hold it, or believe that they do."""
    run_id = start(controller, config, 1)
    play(worker, controller, run_id, until="generate")
    row = next(row for row in rows(controller, run_id) if row.stage == "generate")
    snapshot = Past(controller.database, run_id)
    made = [row.model_copy(update={"token": token}) for token in tokens]
    return [Work(snapshot, each, controller.settings, controller.services, lambda: None, controller.database) for each in made]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_fenced_worker_leaves_what_its_successor_has_staged(
    controller: Controller, worker: Worker, config: dict[str, Any]
) -> None:
    fenced, successor = claimed(controller, worker, config, (1, 2))
    path = fenced.places.shard(1, "candidates", 0)
    fenced.write(path, Prompt, [ONE])
    successor.write(path, Prompt, [OTHER])
    fenced.discard()
    successor.publish()
    assert read_records(path, Prompt) == [OTHER]


def test_the_latest_claim_removes_whatever_earlier_ones_left(
    controller: Controller, worker: Worker, config: dict[str, Any]
) -> None:
    killed, latest = claimed(controller, worker, config, (9, 10))
    known = files(killed.places.root)
    path = killed.places.shard(1, "candidates", 0)
    killed.write(path, Prompt, [ONE])
    # As kill -9 leaves it in the midst of a write.
    (staged,) = set(files(killed.places.root)) - set(known)
    (staged.parent / f".{staged.name}.0123").write_text("half")
    latest.discard()
    assert files(killed.places.root) == known
