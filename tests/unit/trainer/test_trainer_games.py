"""Our losses on games with a known equilibrium: what the theory says, with bounds and fixed seeds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from torch import Tensor

from sparring_shared.preference import official_probs
from sparring_trainer.games import closed_form, play, tabular
from sparring_trainer.games.__main__ import main
from sparring_trainer.games.equilibrium import duality_gap, nash, regularised_nash
from sparring_trainer.games.findings import half_distance, long_run, rate_bound, turns
from sparring_trainer.games.matrices import GAMES, Game, check_game
from sparring_trainer.games.tabular import Pairs
from sparring_trainer.learning.losses import mixture

CYCLIC = [game for name, game in GAMES.items() if name != "bradley-terry"]
CONTROL = GAMES["bradley-terry"]
RPS = GAMES["rock-paper-scissors"]


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


def test_the_minimiser_of_dpo_is_the_tilt_by_a_reward_where_there_is_one() -> None:
    previous, reference, _, pairs = first_round(CONTROL)
    found = tabular.minimise(tabular.dpo(pairs, reference, beta=2.0), previous, previous.exp(), step=1.0, most=5000)
    rewards = CONTROL.logits.mean(axis=1)
    assert far(found, log_softmax(reference.numpy() + rewards / 2.0)) < 1e-4


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


def test_a_bradley_terry_reward_sees_no_difference_on_a_cycle_where_general_preferences_do() -> None:
    assert np.abs(official_probs(RPS.logits) - 0.5).max() < 1e-12
    for blind in (play.sppo_official(RPS, 0.2), play.dpo(RPS, 5.0)):
        played = play.play(RPS, blind, 30)
        assert np.abs(played.policies - RPS.start).max() < 1e-9
        assert played.last[-1] > 0.12
    seeing = play.play(RPS, play.sppo(RPS, 0.2), 100)
    assert np.abs(seeing.policies - RPS.start).max() > 0.1
    assert seeing.average[-1] < 0.1


def test_all_agree_on_the_bradley_terry_control() -> None:
    best = nash(CONTROL.probs)
    assert best.tolist() == pytest.approx([1, 0, 0, 0, 0])
    for one_round, rounds, reset in (
        (play.sppo(CONTROL, 0.2), 300, None),
        (play.sppo_official(CONTROL, 0.2), 300, None),
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
    assert "sees no difference: the policy stays" in printed[5]
    assert (tmp_path / "games.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert main(["--plot", str(tmp_path / "absent" / "games.png")]) == 2
    assert "there is no folder" in capsys.readouterr().err
