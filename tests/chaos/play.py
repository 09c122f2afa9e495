"""Plays a scenario: starts the services and the runs, acts, waits for the end, and judges what was left."""

import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos import runs, verdict
from chaos.acts import NotNow, act, forget_judgements, is_kill
from chaos.scenarios import Scenario
from chaos.worlds import World

_IDLE_SECONDS = 20.0
_TOUCHES = {
    "generate": ("generate", "evaluate"),
    "generator": ("generate", "evaluate"),
    "engine core": ("generate", "evaluate"),
    "worker-judge": ("judge",),
    "judge": ("judge", "evaluate"),
    "rounds": ("prompts", "select", "train"),
    "trainer": ("train",),
    "job": ("train",),
}
"""Which stages a process works on, by the end of its name; of the others, all."""


@dataclass
class Outcome:
    """How a scenario went. `hit` counts the stages that were under way when something was done to them."""

    scenario: Scenario
    acts: Counter[str] = field(default_factory=Counter[str])
    hit: Counter[str] = field(default_factory=Counter[str])
    runs: int = 0
    seconds: float = 0.0
    digests: Mapping[str, Any] = field(default_factory=dict[str, Any])
    wrong: list[str] = field(default_factory=list[str])

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return sum(count for name, count in self.acts.items() if is_kill(name))


def play(here: World, scenario: Scenario, expected: Mapping[str, Any] | None) -> Outcome:
    """One scenario; what is wrong at its end stands in the outcome. `expected` are the digests that it has to make."""
    outcome = Outcome(scenario)
    forget_judgements(here)
    began = time.monotonic()
    try:
        ids = _disturb(here, scenario, outcome)
        _await_end(here, ids, scenario, began, outcome)
        outcome.runs = len(ids)
        if not outcome.wrong:
            outcome.digests = verdict.digests(here, ids)
            outcome.wrong += verdict.wrong(here, ids, outcome.digests, expected)
    except TimeoutError as silent:
        outcome.wrong.append(f"the controller does not come back: {silent}")
    outcome.seconds = time.monotonic() - began
    return outcome


def _disturb(here: World, scenario: Scenario, outcome: Outcome) -> list[str]:
    """Act until all is done that was to be done; runs that have ended meanwhile are followed by others."""
    drawn = random.Random(scenario.seed)
    ids = runs.start(here, f"{scenario.seed}-0", scenario.rounds)
    done = 0
    while done < scenario.count:
        name = _draw(here, ids, scenario, drawn)
        time.sleep(drawn.uniform(0, 2 * scenario.every))
        under_way = _touched(name, _under_way(here, ids))
        try:
            act(here, name)
        except NotNow:
            continue
        done += 1
        outcome.acts[name] += 1
        outcome.hit.update(under_way or ["nothing"])
        met = ", ".join(under_way) or "nothing"
        print(f"chaos: {scenario.name} ({scenario.world}), act {done} of {scenario.count}: {name}, on {met}", flush=True)
        states = [runs.status(here, run_id)["status"] for run_id in ids[-len(runs.SEEDS) :]]
        outcome.wrong += [f"a run is {state}" for state in states if state not in ("running", "done")]
        if outcome.wrong:
            break
        if "running" not in states and done < scenario.count:
            ids += runs.start(here, f"{scenario.seed}-{len(ids)}", scenario.rounds)
    return ids


def _draw(here: World, ids: list[str], scenario: Scenario, drawn: random.Random) -> str:
    """An act upon what is being worked on; where nothing is for a while, any."""
    deadline = time.monotonic() + _IDLE_SECONDS
    while not (stages := _under_way(here, ids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    meeting = {name: weight for name, weight in scenario.acts.items() if _touched(name, stages)} or scenario.acts
    return drawn.choices(list(meeting), list(meeting.values()))[0]


def _under_way(here: World, ids: list[str]) -> set[str]:
    """The stages that are worked on at this moment."""
    return {
        row["stage"]
        for row in runs.stages(here.database, ids)
        if row["state"] == "running" or (row["state"] == "waiting" and row["stage"] == "train" and row["progress"])
    }


def _touched(name: str, under_way: set[str]) -> list[str]:
    """Those of them that an act meets."""
    touches = next((stages for end, stages in _TOUCHES.items() if name.endswith(end)), None)
    return sorted(under_way if touches is None else under_way & set(touches))


def _await_end(here: World, ids: list[str], scenario: Scenario, began: float, outcome: Outcome) -> None:
    while True:
        states = {run_id: runs.status(here, run_id) for run_id in ids}
        ended = {run_id: found for run_id, found in states.items() if found["status"] != "running"}
        outcome.wrong += [f"{run_id} is {s['status']}: {s['error']}" for run_id, s in ended.items() if s["status"] != "done"]
        if outcome.wrong or len(ended) == len(ids):
            break
        if time.monotonic() - began > scenario.limit:
            outcome.wrong.append(f"not done after {scenario.limit:.0f} s: {', '.join(set(ids) - set(ended))}")
            break
        time.sleep(0.3)
    if outcome.wrong:
        outcome.wrong += verdict.open_stages(here, ids)
        runs.cancel(here, ids)
