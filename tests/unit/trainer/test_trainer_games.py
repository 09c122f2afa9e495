"""Our losses on games with a known equilibrium: what the theory says, with bounds and fixed seeds."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor

from sparring_shared.preference import best_worst, official_probs, pairwise_probs, scores, sigmoid, win_rates
from sparring_trainer.games import closed_form, play, samples, tabular
from sparring_trainer.games.__main__ import main
from sparring_trainer.games.equilibrium import duality_gap, nash, regularised_nash
from sparring_trainer.games.findings import half_distance, long_run, rate_bound, turns
from sparring_trainer.games.matrices import FAMILIES, GAMES, Game, check_game
from sparring_trainer.games.samples import Estimator
from sparring_trainer.games.survey import METHODS, Course, Family, K, measured_rounds, played, survey
from sparring_trainer.games.tables import survey_table
from sparring_trainer.games.tabular import Pairs
from sparring_trainer.learning.losses import mixture

CYCLIC = [game for name, game in GAMES.items() if name != "bradley-terry"]
CONTROL = GAMES["bradley-terry"]
RPS = GAMES["rock-paper-scissors"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    # Tensors of a few numbers: more threads only wait for each other.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def names(game: Game) -> str:
    return game.name


def first_round(game: Game) -> tuple[Tensor, Tensor, Tensor, Pairs]:
    """log pi_t, some other policy, the rates against pi_t, and all pairs."""
    previous = torch.from_numpy(np.log(game.start))
    other = previous.flip(0) * 0.5
    probs = torch.from_numpy(game.probs)
    rates = probs @ previous.exp()
    return previous, other.log_softmax(0), rates, tabular.expected_pairs(previous.exp(), probs, rates)


def far(found: Tensor, closed: np.ndarray) -> float:
    return float(np.abs(found.numpy() - closed).max())


@pytest.mark.parametrize("eta", [0.2, 3.0, 20.0])
@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_the_minimiser_of_sppo_with_the_exact_log_partition_is_multiplicative_weights(game: Game, eta: float) -> None:
    previous, _, rates, pairs = first_round(game)
    baseline = closed_form.log_partition(previous.numpy(), rates.numpy(), eta) / eta
    found = tabular.minimise(tabular.sppo(pairs, previous, eta=eta, baseline=baseline), previous, previous.exp())
    assert far(found, closed_form.multiplicative_weights(previous.numpy(), rates.numpy(), eta)) < 1e-4


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_one_half_for_the_log_partition_is_near_for_small_eta_and_not_for_large(game: Game) -> None:
    small, large = half_distance(game, 0.2), half_distance(game, 5.0)
    assert 1e-8 < small < 1e-4
    assert 30 * small < large < 0.1


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_the_minimisers_of_the_margin_losses_are_their_mirror_steps(game: Game) -> None:
    previous, reference, rates, pairs = first_round(game)
    t, r, p = previous.numpy(), reference.numpy(), rates.numpy()
    mixed = mixture([previous, reference], [0.75, 0.25])
    for objective, closed in (
        (tabular.inpo(pairs, previous, reference, eta=0.2, tau=0.05), closed_form.mirror_descent(t, r, p, 0.2, 0.05)),
        (tabular.inpo(pairs, previous, reference, eta=0.2, tau=0), closed_form.mirror_descent(t, r, p, 0.2, 0)),
        (tabular.ipo(pairs, reference, tau=0.2), closed_form.mirror_descent(t, r, p, 0.2, 0.2)),
        (tabular.mnpo(pairs, mixed, eta=0.2), closed_form.history_descent([t, r], [0.75, 0.25], p, 0.2)),
        (tabular.rebel(pairs, previous, eta=5), closed_form.multiplicative_weights(t, p, 5)),
    ):
        assert far(tabular.minimise(objective, previous, previous.exp()), closed) < 1e-4


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_the_minimiser_of_dpo_is_the_tilt_by_the_reward_that_gives_the_true_win_rates(game: Game) -> None:
    previous, reference, rates, pairs = first_round(game)
    policy = previous.exp().numpy()
    reward = closed_form.bradley_terry_reward(game.probs, policy, np.zeros(len(policy)))
    assert np.abs(sigmoid(reward[:, None] - reward) @ policy - rates.numpy()).max() < 1e-6
    found = tabular.minimise(tabular.dpo(pairs, reference, beta=2.0), previous, previous.exp(), step=1.0, most=5000)
    assert far(found, log_softmax(reference.numpy() + reward / 2.0)) < 1e-4


def test_where_a_reward_explains_all_it_is_the_one_that_is_found() -> None:
    policy = CONTROL.start
    reward = closed_form.bradley_terry_reward(CONTROL.probs, policy, np.zeros(5))
    rewards = np.array([1.0, 0.4, 0.0, -0.3, -1.1])
    assert reward == pytest.approx(rewards - policy @ rewards, abs=1e-6)


def one_by_one(game: Game, k: int, estimator: Estimator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean win rate of each answer drawn [n], and chances that an answer is the best and the worst, from all n^k sequences."""
    found = np.zeros((3, len(game.start)))
    for drawn in map(list, product(range(len(game.start)), repeat=k)):
        chance, among = game.start[drawn].prod(), game.logits[np.ix_(drawn, drawn)]
        rates = win_rates((pairwise_probs if estimator == "pairwise" else official_probs)(among))
        np.add.at(found[0], drawn, chance * rates / k)
        pair = best_worst(scores(among).round(12))
        if pair is not None:
            found[1, drawn[pair[0]]] += chance
            found[2, drawn[pair[1]]] += chance
    return found[0] / game.start, found[1], found[2]


@pytest.mark.parametrize("estimator", ["pairwise", "official"])
@pytest.mark.parametrize("game", [RPS, GAMES["random-4"]], ids=names)
def test_enumerated_samples_are_all_sequences_of_draws(game: Game, estimator: Estimator) -> None:
    rates, best, worst = one_by_one(game, 4, estimator)
    told, log_policy = samples.told(game.logits[None], 4), np.log(game.start)
    others = samples.chances(log_policy, 3)
    assert others.sum() == pytest.approx(1)
    assert others @ told.rates[estimator][0] == pytest.approx(rates)
    assert 4 * game.start * (others @ told.best[0]) == pytest.approx(best)
    assert 4 * game.start * (others @ told.worst[0]) == pytest.approx(worst)


def test_official_win_rates_of_five_draws_on_rock_paper_scissors() -> None:
    others, told = samples.chances(np.log(RPS.start), 4), samples.told(RPS.logits[None], 5)
    assert others @ told.rates["official"][0] == pytest.approx([0.5386, 0.5818, 0.3811], abs=5e-5)
    # With K answers of pi_t, `pairwise` is P(y beats pi_t) but for the answer itself: one half of one in K.
    assert others @ told.rates["pairwise"][0] == pytest.approx(0.8 * (RPS.probs @ RPS.start) + 0.1)


def family_of(game: Game) -> Family:
    return Family(game.probs[None], samples.told(game.logits[None], K))


def signal_of(method: str, game: Game) -> np.ndarray:
    log_policy = np.log(game.start)[None]
    return METHODS[method](family_of(game))(log_policy, np.zeros_like(log_policy))[0]


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_the_minimisers_on_the_best_and_the_worst_are_the_surveyed_tilts(game: Game) -> None:
    previous, judged = torch.from_numpy(np.log(game.start)), samples.judged(game.logits, K)
    estimators: tuple[tuple[str, Estimator], ...] = (
        (f"SPPO, best and worst of {K}", "pairwise"),
        (f"SPPO, official, best and worst of {K}", "official"),
    )
    for method, estimator in estimators:
        rates = signal_of(method, game)
        baseline = closed_form.log_partition(previous.numpy(), rates, 3.0) / 3.0
        pairs = tabular.best_worst_pairs(previous, judged, K, estimator)
        objective = tabular.sppo(pairs, previous, eta=3.0, baseline=baseline)
        found = tabular.minimise(objective, previous, tabular.seen(pairs, previous.exp()))
        assert far(found, closed_form.multiplicative_weights(previous.numpy(), rates, 3.0)) < 1e-4


@pytest.mark.parametrize("game", CYCLIC, ids=names)
def test_dpo_on_the_best_and_the_worst_is_surveyed_by_its_gradient(game: Game) -> None:
    previous = torch.from_numpy(np.log(game.start)).requires_grad_()
    judged = samples.judged(game.logits, K)
    pairs = tabular.best_worst_pairs(previous.detach(), judged, K, "pairwise")
    tabular.dpo(pairs, previous.detach(), beta=2.0)(previous).backward()
    assert previous.grad is not None
    pull = -previous.grad.numpy() / game.start
    surveyed = signal_of(f"iterative DPO, best and worst of {K}", game)
    assert pull / np.abs(pull).max() == pytest.approx(surveyed / np.abs(surveyed).max())


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_the_linear_program_and_the_regularised_system_are_solved(game: Game) -> None:
    exact, regular = nash(game.probs), regularised_nash(game.probs, game.start, 0.1)
    assert abs(duality_gap(game.probs, exact)) < 1e-9
    assert exact.sum() == pytest.approx(1)
    again = log_softmax(np.log(game.start) + game.probs @ regular / 0.1)
    assert np.abs(np.exp(again) - regular).max() < 1e-9


def test_the_gap_of_a_pure_policy_is_what_its_best_opponent_wins() -> None:
    probs = np.array([[0.5, 0.2, 0.9], [0.8, 0.5, 0.4], [0.1, 0.6, 0.5]])
    # Against the first answer alone the second wins 0.8, and the first wins 0.2 against it.
    assert duality_gap(probs, np.eye(3)).tolist() == pytest.approx([0.8 - 0.2, 0.6 - 0.4, 0.9 - 0.1])


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_the_average_of_sppo_converges_with_one_over_the_root_of_t(game: Game) -> None:
    for rounds in (100, 400, 1600, 6400, 25600):
        assert np.sqrt(rounds) * long_run(game, rounds).average[-1] <= rate_bound(game)


@pytest.mark.parametrize("game", CYCLIC, ids=names)
def test_the_last_policy_of_sppo_keeps_cycling(game: Game) -> None:
    played = long_run(game, 25600)
    # It comes no nearer, and goes on turning, in the last half of the rounds too.
    assert played.last[12800:].min() > 0.01
    assert turns(played.policies[12800:], nash(game.probs)) >= 2
    assert played.average[-1] < 0.05 * played.last[12800:].max() + 0.002


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_training_on_our_loss_follows_the_closed_form_for_a_hundred_rounds(game: Game) -> None:
    trained = play.play(game, play.sppo(game, 0.2), 100)
    assert np.abs(trained.policies - closed_form.many_rounds(game.probs, game.start, 0.2, 101)).max() < 1e-9


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_the_last_policy_of_inpo_converges_to_the_regularised_equilibrium(game: Game) -> None:
    played = play.play(game, play.inpo(game, 1.0, 0.1), 250)
    regular = regularised_nash(game.probs, game.start, 0.1)
    assert np.abs(played.policies[-1] - regular).max() < 1e-3
    # Which is not the exact one.
    assert duality_gap(game.probs, regular) > 0.05


@pytest.mark.parametrize("game", GAMES.values(), ids=names)
def test_with_resets_it_converges_to_the_exact_equilibrium(game: Game) -> None:
    played = play.play(game, play.inpo(game, 0.5, 0.05), 9000, reset_every=30, until=9e-7)
    assert played.last[-1] < 1e-6
    assert np.abs(played.policies[-1] - nash(game.probs)).max() < 1e-5


@pytest.mark.parametrize("one_round", [play.sppo_official(RPS, 0.2), play.dpo(RPS, 5.0)], ids=["official", "dpo"])
def test_on_a_cycle_what_is_drawn_from_the_policy_moves_it(one_round: play.Round) -> None:
    moved = play.play(RPS, one_round, 100)
    assert np.abs(moved.policies - RPS.start).max() > 0.1
    assert moved.average[-1] < 0.1 < moved.last[-30:].max()


def test_where_no_answer_beats_all_general_preferences_come_nearest_and_elsewhere_all_are_near() -> None:
    courses = {(each.family, each.method): each for each in survey(seed=0, games=12, rounds=3000)}
    assert len(courses) == len(FAMILIES) * len(METHODS)

    def far_off(family: str, method: str) -> float:
        return float(np.median(courses[family, method].average[-1]))

    best_and_worst = f"iterative DPO, best and worst of {K}"
    for family in ("cycle of 3", "random 5, no Condorcet winner"):
        nearest = far_off(family, "SPPO")
        assert nearest < 0.01
        assert far_off(family, f"SPPO, official, best and worst of {K}") > 1.2 * nearest
        assert far_off(family, best_and_worst) > 4 * nearest
    for family in ("random 5, a Condorcet winner", "random 5, Bradley-Terry"):
        assert max(far_off(family, method) for method in METHODS) < 0.012
        assert max(courses[family, method].last.max() for method in METHODS) < 0.05


def test_the_survey_plays_multiplicative_weights() -> None:
    logits = FAMILIES["cycle of 3"](np.random.default_rng(1), 2)
    probs = np.stack([pairwise_probs(each) for each in logits])
    signal = METHODS["SPPO"](Family(probs, samples.told(logits, 2)))
    average, last = played(signal, probs, (1, 50), spread=0.02)

    start = np.array([1, 2, 3]) / 6
    rates = probs @ start
    step = 0.02 / np.sqrt((rates - (rates @ start)[:, None]) ** 2 @ start).mean()
    for game in range(2):
        policies = closed_form.many_rounds(probs[game], start, step, 51)
        assert average[0][game] == pytest.approx(duality_gap(probs[game], start))
        assert average[1][game] == pytest.approx(duality_gap(probs[game], policies[:50].mean(0)))
        assert last[game] == pytest.approx(duality_gap(probs[game], policies[50]))


def test_families_are_what_they_are_called() -> None:
    for name, winners in (("cycle of 3", 0), ("random 5, no Condorcet winner", 0), ("random 5, a Condorcet winner", 6)):
        logits = FAMILIES[name](np.random.default_rng(5), 6)
        assert np.array_equal(logits, -logits.swapaxes(1, 2))
        assert ((logits > 0).sum(2) == logits.shape[1] - 1).any(1).sum() == winners
    assert measured_rounds(10) == tuple(range(1, 11))
    assert {200, 1000} < set(measured_rounds(1000))


def test_the_table_of_the_survey() -> None:
    average = np.array([[0.5, 0.25, 0.75], [0.005, 0.05, 0.015]])
    course = Course("cycles", "SPPO", (200, 4000), average, np.array([0.1, 0.2, 0.4]), np.array([0.2, 0.3, 0.7]))
    printed = survey_table([course]).splitlines()
    assert printed[0].startswith(
        "| 3 games each | method | average, 200 rounds | average, 4,000 rounds | its worst | under 0.01 |"
    )
    assert printed[2] == "| cycles | SPPO | 0.5000 | 0.0150 | 0.0500 | 33% | 0.200 | 0.400 |"


def test_all_agree_on_the_bradley_terry_control() -> None:
    best = nash(CONTROL.probs)
    assert best.tolist() == pytest.approx([1, 0, 0, 0, 0])
    for one_round, rounds, reset in (
        (play.sppo(CONTROL, 0.2), 300, None),
        (play.sppo_official(CONTROL, 0.2), 150, None),
        (play.dpo(CONTROL, 5.0), 60, None),
        (play.inpo(CONTROL, 0.5, 0.05), 150, 30),
    ):
        assert np.abs(play.play(CONTROL, one_round, rounds, reset_every=reset).policies[-1] - best).max() < 0.01
    regular = play.play(CONTROL, play.inpo(CONTROL, 1.0, 0.1), 250).policies[-1]
    assert regular.argmax() == 0


def test_what_is_drawn_leads_to_the_same_place() -> None:
    game = GAMES["biased"]
    inpo = play.play(game, play.inpo_drawn(game, 1.0, 0.1, prompts=4000, seed=0), 100)
    assert np.abs(inpo.policies[-50:].mean(0) - regularised_nash(game.probs, game.start, 0.1)).max() < 0.02
    sppo = play.play(game, play.sppo_drawn(game, 0.2, prompts=2000, k=4, seed=0), 300)
    assert sppo.average[-1] < 0.1 < sppo.last[-100:].max()


def test_a_round_is_the_same_for_the_same_seed() -> None:
    played = [play.play(RPS, play.sppo_drawn(RPS, 0.2, prompts=50, k=4, seed=3), 3).policies for _ in range(2)]
    assert np.array_equal(played[0], played[1])


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [
        ([[0.5, 0.7]], r"matrix must be square, but its shape is \(1, 2\)"),
        ([[0.5, 1.7], [-0.7, 0.5]], "matrix must lie between 0 and 1, but it holds 1.7"),
        ([[0.5, float("nan")], [0.5, 0.5]], "matrix must lie between 0 and 1, but it holds nan"),
        ([[0.5, 0.7], [0.7, 0.5]], r"matrix must be antisymmetric around 1/2, but \[0\]\[1\] \+ \[1\]\[0\] is 1.4"),
    ],
)
def test_what_is_no_game_is_refused(matrix: list[list[float]], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_game(matrix)


def test_the_command_prints_a_table_and_draws_a_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--game", "rock-paper-scissors", "--plot", str(tmp_path / "games.png")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 + 8
    assert "| rock-paper-scissors | SPPO, official | 200 |" in printed[5]
    assert (tmp_path / "games.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert main(["--plot", str(tmp_path / "absent" / "games.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err
