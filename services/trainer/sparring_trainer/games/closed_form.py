"""The updates that the minimisers of the losses are, by the papers. Policies are log-probs [n], rates P(y beats pi_t) [n]."""

from collections.abc import Sequence

import numpy as np

from sparring_shared.preference import Floats, sigmoid


def log_softmax(logits: Floats) -> Floats:
    """Log-probs [n] of logits [n]."""
    return logits - np.logaddexp.reduce(logits)


def multiplicative_weights(previous: Floats, rates: Floats, eta: float) -> Floats:
    """SPPO, eq. 4.1: pi_{t+1} ~ pi_t exp(eta P(y beats pi_t))."""
    return log_softmax(previous + eta * rates)


def log_partition(previous: Floats, rates: Floats, eta: float) -> float:
    """SPPO, eq. 4.2: log Z_t; divided by eta it is the baseline that makes eq. 4.4 exact."""
    return float(np.logaddexp.reduce(previous + eta * rates))


def mirror_descent(previous: Floats, reference: Floats, rates: Floats, eta: float, tau: float) -> Floats:
    """INPO, eq. 5: pi_{t+1} ~ exp(P(y beats pi_t) / eta) ref^(tau / eta) pi_t^(1 - tau / eta). IPO is tau = eta."""
    return log_softmax(rates / eta + tau / eta * reference + (1 - tau / eta) * previous)


def history_descent(history: Sequence[Floats], shares: Sequence[float], rates: Floats, eta: float) -> Floats:
    """MNPO: pi_{t+1} ~ exp(P(y beats pi_t) / eta) times the geometric mixture of past policies."""
    return log_softmax(rates / eta + sum(share * policy for share, policy in zip(shares, history, strict=True)))


def bradley_terry_reward(probs: Floats, policy: Floats, guess: Floats) -> Floats:
    """The reward r, mean 0 under the policy, that best fits verdicts on its answers; `probs` [..., n, n], others [..., n].

    It gives each answer its true win rate: sum_j pi_j sigmoid(r_i - r_j) = P(i beats pi). DPO on them ends at
    pi_t exp(r / beta). By Newton's method from `guess`.
    """
    reward, weights = guess - (policy * guess).sum(-1, keepdims=True), policy[..., None, :]
    for _ in range(100):
        fitted = sigmoid(reward[..., :, None] - reward[..., None, :])
        slope = fitted * (1 - fitted) * weights
        # Minus the slopes beside the diagonal, their sums on it; the weights hold the mean of the reward at 0.
        matrix = weights - slope + slope.sum(-1, keepdims=True) * np.eye(policy.shape[-1])
        move = np.linalg.solve(matrix, ((probs - fitted) * weights).sum(-1)[..., None])[..., 0]
        reward = reward + np.clip(move, -2, 2)
        if np.abs(move).max() < 1e-3:  # what is left is of the order of its square
            break
    return reward - (policy * reward).sum(-1, keepdims=True)


def many_rounds(probs: Floats, start: Floats, eta: float, rounds: int) -> Floats:
    """Policies pi_1 ... pi_T of SPPO's exact update from `start`, as probabilities [T, n]."""
    played = np.empty((rounds, len(start)))
    logits = np.log(start)
    for number in range(rounds):
        policy = np.exp(logits - logits.max())
        played[number] = policy / policy.sum()
        logits = logits + eta * (probs @ played[number])
    return played
