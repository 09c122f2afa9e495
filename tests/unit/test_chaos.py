"""What `make chaos` holds against a run, and how it tells it."""

import sqlite3
from collections import Counter
from pathlib import Path

import httpx
from chaos.play import Outcome
from chaos.proxy import Proxy
from chaos.scenarios import SHORT, WHOLE, Scenario
from chaos.table import row
from chaos.verdict import commits, leftovers, watch_commits


def stage(database: Path, key: str, shard: int) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("INSERT INTO stages VALUES (?, 'a-1', 1, 'judge', ?, 'running', 3)", (key, shard))
    connection.close()


def database(folder: Path) -> Path:
    """A table of stages with what the verdict looks at."""
    with sqlite3.connect(folder / "sparring.db") as connection:
        connection.execute("CREATE TABLE stages (key, run_id, round, stage, shard, state, token)")
    connection.close()
    watch_commits(folder / "sparring.db")
    return folder / "sparring.db"


def test_a_stage_is_committed_once_by_its_last_owner(tmp_path: Path) -> None:
    path = database(tmp_path)
    for shard, key in enumerate(("once", "twice", "open", "late")):
        stage(path, key, shard)
    with sqlite3.connect(path) as connection:
        for key in ("once", "twice", "twice", "late"):
            connection.execute("UPDATE stages SET state = 'done' WHERE key = ?", (key,))
        connection.execute("UPDATE stages SET token = 4 WHERE key = 'late'")
    connection.close()
    assert list(commits(path, ["a-1"])) == [
        "a-1, round 1, judge, shard 1 was committed 2 times",
        "a-1, round 1, judge, shard 2 is running in a run that is done",
        "a-1, round 1, judge, shard 3 was committed with token 3, and claimed since with 4",
    ]


def test_what_is_left_over_is_named(tmp_path: Path) -> None:
    for name in (".services/x/.lock", ".judgements.db-wal", "a-1/rounds/1/pairs/00000.parquet", "clock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(leftovers(tmp_path, ["a-1"])) == []
    for name in ("a-1/rounds/1/pairs/.00000.parquet.3", "a-1/kept/key/x.parquet", ".trainer/job/.status.json.f"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(leftovers(tmp_path, ["a-1"])) == [
        "left over: .trainer/job/.status.json.f",
        "left over: a-1/kept/key",
        "left over: a-1/rounds/1/pairs/.00000.parquet.3",
    ]


def test_the_table_has_a_row_per_scenario() -> None:
    calm = Outcome(Scenario("undisturbed", "small"), runs=2, seconds=9.6)
    bad = Outcome(Scenario("kill anything", "small", seed=7, acts={"kill redis": 1}), runs=2, seconds=30, wrong=["lost"])
    bad.acts, bad.hit = Counter({"kill redis": 3, "flush redis": 1}), Counter({"judge": 1, "train": 2})
    assert [row(calm), row(bad)] == [
        "| undisturbed | small | 0 | 2 | 0 | 0 |  | 10 | done |",
        "| kill anything | small | 7 | 2 | 3 | 1 | train 2, judge 1 | 30 | **failed** |",
    ]


def test_both_forms_begin_undisturbed_and_the_whole_kills_fifty_real_processes() -> None:
    for form in (SHORT, WHOLE):
        first = {scenario.world: scenario for scenario in reversed(form)}
        assert all(not scenario.acts for scenario in first.values())
        assert all(scenario.rounds == first[scenario.world].rounds for scenario in form)
        seeds = [(scenario.world, scenario.seed) for scenario in form if scenario.acts]
        assert len(set(seeds)) == len(seeds)
    killing = [each for each in WHOLE if each.world == "real" and all(name.startswith("kill ") for name in each.acts)]
    assert sum(each.count for each in killing) >= 50


def test_the_judge_behind_the_proxy_can_be_away() -> None:
    with Proxy() as proxy, Proxy() as judge:
        proxy.target, judge.away = judge.url, True
        assert _body(proxy) == (503, "The judge is away.")
        judge.target, judge.away = "http://127.0.0.1:9", False
        assert _body(proxy) == (503, "The judge behind the proxy does not answer (ConnectError).")
        proxy.away = True
        assert _body(proxy) == (503, "The judge is away.")


def _body(proxy: Proxy) -> tuple[int, str]:
    answer = httpx.get(f"{proxy.url}/v1/judge")
    return answer.status_code, answer.json()["error"]["message"]
