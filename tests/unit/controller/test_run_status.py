from rows import snapshot, stage

from sparring_controller.api.run_status import eta_seconds, round_status, run_state, run_status

BEGUN = (
    stage(0, "evaluate", seconds=6.0),
    stage(1, "prompts"),
    stage(1, "generate", 0, seconds=10.0),
    stage(1, "generate", 1, state="running"),
    stage(1, "judge", 0, state="waiting", error="The judge does not answer."),
)


def test_states_of_a_run() -> None:
    whole = (stage(0, "evaluate"), stage(1, "evaluate"))
    assert run_state(snapshot(requested_rounds=0)) == "idle"
    assert run_state(snapshot(*BEGUN)) == "running"
    assert run_state(snapshot(*whole)) == "idle"
    assert run_state(snapshot(*whole, stage(2, "evaluate"), requested_rounds=2)) == "done"
    assert run_state(snapshot(*whole, requested_rounds=2)) == "running"
    assert run_state(snapshot(*BEGUN, control="paused")) == "paused"


def test_a_round_shows_its_shards_and_what_holds_it_up() -> None:
    status = round_status(snapshot(*BEGUN), 1)
    assert status.state == "running"
    assert [(s.stage, s.shards, s.done, s.running, s.progress) for s in status.stages] == [
        ("prompts", 1, 1, 0, 1.0),
        ("generate", 2, 1, 1, 0.5),
        ("judge", 2, 0, 0, 0.0),
        ("select", 2, 0, 0, 0.0),
        ("train", 1, 0, 0, 0.0),
        ("evaluate", 1, 0, 0, 0.0),
    ]
    assert status.stages[2].error == "The judge does not answer."
    assert status.stages[1].seconds == 10.0


def test_training_shows_its_steps_and_its_own_estimate() -> None:
    shards = [stage(1, name, shard) for name in ("generate", "judge", "select") for shard in (0, 1)]
    train = stage(1, "train", state="waiting", progress={"attempt": 0, "step": 3, "total_steps": 12, "eta_seconds": 90.0})
    run = snapshot(stage(0, "evaluate", seconds=6.0), stage(1, "prompts"), *shards, train)
    shown = round_status(run, 1).stages[4]
    assert (shown.progress, shown.running, shown.done) == (0.25, 1, 0)
    assert eta_seconds(run, 1) == 96.0


def test_there_is_no_estimate_without_a_basis() -> None:
    assert eta_seconds(snapshot(*BEGUN), 1) is None
    last_round = [stage(1, name, seconds=20.0) for name in ("generate", "judge", "select", "train", "evaluate")]
    now = (stage(2, "prompts"), stage(2, "generate", 0, seconds=10.0))
    assert eta_seconds(snapshot(*last_round, *now, requested_rounds=2), 2) == 80.0


def test_a_whole_run_in_one_answer() -> None:
    status = run_status(snapshot(*BEGUN))
    assert (status.created_at, status.completed_rounds) == ("1970-01-01T00:16:40+00:00", 0)
    assert [(item.round, item.state, item.report) for item in status.rounds] == [
        (0, "done", {"round": 0}),
        (1, "running", None),
    ]
    assert run_status(snapshot(*BEGUN), with_rounds=False).rounds == ()
