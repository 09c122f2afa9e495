"""Runs take turns on a generator: whose turn it is, as a pure function of who has it and who waits."""

from collections.abc import Sequence

from sparring_controller.store.turns import Turn


def ahead(turns: Sequence[Turn], stage: str, use: str, now: float, turn_seconds: float) -> Turn | None:
    """Whom a stage has to wait for before it uses the generator; None when it may.

    One use at a time: shards of a run share its policy's turn, and so do runs with the same policy. While others wait a turn
    takes nobody in after `turn_seconds`; then it is the turn of whoever has waited longest.
    """
    having = [turn for turn in turns if turn.state == "has"]
    if any(turn.stage == stage for turn in having):
        return None
    waiting = sorted((turn for turn in turns if turn.state == "waits" and turn.use != use), key=lambda turn: turn.asked)
    over = bool(waiting) and now - began(turns, now) >= turn_seconds
    if having:
        return having[0] if having[0].use != use else waiting[0] if over else None
    keeping = [turn for turn in turns if turn.state == "keeps"]
    if keeping and not over:
        return keeping[0] if keeping[0].use != use else None
    return waiting[0] if waiting and waiting[0].asked < asked(turns, use, now) else None


def began(turns: Sequence[Turn], now: float) -> float:
    """When the turn began that lasts now; now, if none does."""
    return min((turn.since for turn in turns if turn.since is not None), default=now)


def asked(turns: Sequence[Turn], use: str, now: float) -> float:
    """Since when somebody waits for this use; now, if nobody does."""
    return min((turn.asked for turn in turns if turn.state == "waits" and turn.use == use), default=now)
