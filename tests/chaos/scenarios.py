"""The scenarios as data: which world, which acts, how often, and from which seed their moments and order are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chaos.worlds import WorldName

STAGES = ("rounds", "generate", "judge")
WORKERS = {f"kill worker-{name}": 2.0 for name in STAGES}
CHILDREN = {f"kill child of worker-{name}": 3.0 for name in STAGES}
ENGINES = {"kill judge": 2.0, "kill trainer": 2.0, "kill generator": 1.0}
ALL = WORKERS | CHILDREN | ENGINES | {"kill redis": 2.0, "kill controller": 2.0}
REAL = ALL | {"kill job": 4.0, "kill engine core": 0.5, "kill generator": 0.5}


@dataclass(frozen=True)
class Scenario:
    """`acts` are drawn `count` times with these weights from `seed`, each about `every` seconds after its work has begun.

    What is drawn and cannot be done at that moment (no training job runs) is drawn again. A service that does not answer is
    waited for `patience` seconds, the end of all for `limit`. A world's first scenario has no acts: what it makes is what the
    others have to make, to the bit.
    """

    name: str
    world: WorldName
    seed: int = 0
    acts: Mapping[str, float] = field(default_factory=dict[str, float])
    count: int = 0
    every: float = 1.0
    patience: float = 900.0
    rounds: int = 2
    limit: float = 1200.0


_STOPS = {f"stop child of worker-{name}": 1.0 for name in STAGES}
_FILLS = {f"fill child of worker-{name}": 1.0 for name in STAGES}
_FLUSHES = {"kill redis": 1.0, "flush redis": 1.0}
_STEPS = {"clock +3600 s": 1.0, "clock -3600 s": 1.0, "clock +0 s": 1.0}

_PAUSES = {"judge away for 8 s": 2.0, "database held for 8 s": 2.0}

SHORT = (
    Scenario("undisturbed", "small"),
    Scenario("kill anything", "small", seed=1, acts=ALL, count=40, every=1.0),
    Scenario("all but kills", "small", seed=2, acts=_STOPS | _FILLS | _FLUSHES | _STEPS | _PAUSES, count=14),
    Scenario("undisturbed", "real", rounds=1),
    Scenario("kill anything", "real", seed=3, acts=REAL, count=12, every=3, rounds=1),
)

WHOLE = (
    Scenario("undisturbed", "small"),
    Scenario("kill anything", "small", seed=21, acts=ALL, count=200, every=0.5, limit=2400),
    Scenario("kill children", "small", seed=22, acts=CHILDREN, count=200, every=0.3, limit=2400),
    Scenario("Redis killed and flushed", "small", seed=23, acts=_FLUSHES, count=40),
    Scenario("stopped past the lease", "small", seed=24, acts=_STOPS, count=12),
    Scenario("full disk", "small", seed=25, acts=_FILLS, count=12, every=2),
    Scenario("clock steps", "small", seed=28, acts=_STEPS, count=10, every=2),
    Scenario("database hangs", "small", seed=27, acts={"database held for 40 s": 1}, count=3, every=2),
    Scenario("judge away twice", "small", seed=26, acts={"judge away for 60 s": 1}, count=2, every=2, patience=75),
    Scenario("undisturbed", "real"),
    *(Scenario("kill anything", "real", seed=seed, acts=REAL, count=20, every=3, limit=2400) for seed in (31, 32, 33)),
    Scenario(
        "all but kills", "real", seed=34, acts=_STOPS | _FILLS | {"flush redis": 2, "judge away for 60 s": 1}, count=8, every=3
    ),
)
