"""The answers that the compatibility tests have judged, and what the native routes say of them."""

from fastapi.testclient import TestClient

PROMPT = "Which of these is a fruit: plum, saw?"
OTHER_PROMPT = "Which of these is a tool: plum, saw?"
LONE_ANSWER_AGAINST = "saw is a fruit."
ANSWERS = ("saw is a fruit.", "plum is a fruit.", "It is plum, a fruit.")


def win_rates(judge: TestClient, prompt: str, *answers: str) -> list[float]:
    """What `/v1/rank` says of the answers."""
    response = judge.post("/v1/rank", json={"items": [{"prompt": prompt, "candidates": answers}]})
    return response.json()["items"][0]["win_rates"]


def beats(judge: TestClient, prompt: str, first: str, second: str) -> float:
    """What `/v1/compare` says: P(the first beats the second)."""
    response = judge.post("/v1/compare", json={"items": [{"prompt": prompt, "a": first, "b": second}]})
    return response.json()["items"][0]["p_a"]
