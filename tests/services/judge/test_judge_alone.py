"""What is asked for alone is the same to the bit, whatever else is computed, was computed before, or is remembered."""

import sqlite3
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from small_judge import loaded_client, wait_until_ready

from sparring_judge.settings import JudgeSettings

ANSWERS = ("a metal.", "gold", "the answer is yes", "nobody knows what it is", "it is zinc " * 9, "yes")
ITEMS = [{"prompt": f"what is {'zinc ' * n}?", "candidates": ANSWERS} for n in range(1, 7)]


def logits(client: TestClient, items: list[dict[str, Any]], **more: Any) -> list[Any]:
    response = client.post("/v1/rank", json={"items": items, **more})
    assert response.status_code == 200, response.text
    return [item["logits"] for item in response.json()["items"]]


def test_company_and_memory_change_nothing(small_judge: Path, tmp_path: Path) -> None:
    settings = JudgeSettings(model=str(small_judge), device="cpu", max_items=8, kept=tmp_path / "kept.db")
    with loaded_client(settings) as client:
        wait_until_ready(client)
        logits(client, ITEMS)
        together = logits(client, ITEMS, alone=True)
        assert logits(client, ITEMS[::-1], alone=True, fresh=True)[::-1] == together
        assert [logits(client, [item], alone=True, fresh=True)[0] for item in ITEMS] == together
    with sqlite3.connect(tmp_path / "kept.db") as kept:
        kept.execute("DELETE FROM kept WHERE random() % 2 = 0")
    with loaded_client(settings) as client:
        wait_until_ready(client)
        assert logits(client, ITEMS, alone=True) == together
