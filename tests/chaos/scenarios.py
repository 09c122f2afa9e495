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
    """`acts` are drawn `count` times with these weights from `seed`, about `every` seconds apart.

    What is drawn and cannot be done at that moment (no training job runs) is drawn again. `settings` are variables of all
    services. A world's first scenario has no acts: what it makes is what the others have to make, to the bit.
    """

    name: str
    world: WorldName
    seed: int = 0
    acts: Mapping[str, float] = field(default_factory=dict[str, float])
    count: int = 0
    every: float = 1.0
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    rounds: int = 2
    limit: float = 600.0


_SMALL_WAITS = {"SPARRING_PATIENCE_SECONDS": "25"}

SHORT = (
    Scenario("undisturbed", "small"),
    Scenario("kill anything", "small", seed=1, acts=ALL, count=60, every=0.5),
    Scenario("children alone", "small", seed=2, acts=CHILDREN, count=60, every=0.3),
    Scenario("Redis killed and flushed", "small", seed=3, acts={"kill redis": 1, "flush redis": 1}, count=15, every=1.5),
    Scenario("stopped past the lease", "small", seed=4, acts={f"stop child of worker-{n}": 1 for n in STAGES}, count=6),
    Scenario("full disk", "small", seed=5, acts={f"fill child of worker-{n}": 1 for n in STAGES}, count=6, every=3),
    Scenario("judge away twice", "small", seed=6, acts={"judge away for 18 s": 1}, count=2, every=4, settings=_SMALL_WAITS),
    Scenario("database hangs", "small", seed=7, acts={"database held for 12 s": 1}, count=2, every=3),
    Scenario("clock steps", "small", seed=8, acts={"clock +3600 s": 1, "clock -3600 s": 1}, count=4, every=4),
    Scenario("undisturbed", "real", rounds=1),
    Scenario("kill anything", "real", seed=9, acts=REAL, count=12, every=1.5, rounds=1),
)

WHOLE = (
    *SHORT[:5],
    Scenario("undisturbed", "real"),
    *(Scenario("kill anything", "real", seed=seed, acts=REAL, count=20, every=4, limit=1200) for seed in (11, 12, 13)),
)
