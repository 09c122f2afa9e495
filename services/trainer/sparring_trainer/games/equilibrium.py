"""What a game's policies are measured against: its equilibria, and the duality gap. Only this module uses scipy."""

import numpy as np
from scipy.optimize import linprog, root

from sparring_shared.preference import Floats
from sparring_trainer.games.closed_form import log_softmax


def nash(probs: Floats) -> Floats:
    """A symmetric equilibrium (von Neumann winner, SPPO eq. 3.3) [n], from the linear program max v, P(pi beats j) >= v."""
    n = len(probs)
    found = linprog(
        c=[0.0] * n + [-1.0],
        A_ub=np.hstack([-probs.T, np.ones((n, 1))]),
        b_ub=np.zeros(n),
        A_eq=[[1.0] * n + [0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    assert found.success, found.message
    return found.x[:n]


def duality_gap(probs: Floats, policy: Floats) -> Floats:
    """max over pi of P(pi beats policy) - min over pi of P(policy beats pi), 0 at an equilibrium; policies [..., n]."""
    return 2 * (policy @ probs.T).max(axis=-1) - 1


def regularised_nash(probs: Floats, reference: Floats, tau: float) -> Floats:
    """The equilibrium of the game with tau KL to the reference (INPO eq. 3) [n]: pi ~ reference exp(P(. beats pi) / tau).

    Solved as a system of equations, from a large tau down, so by other means than the updates that are tested against it.
    """

    def residual(logits: Floats, strength: float) -> Floats:
        return logits - log_softmax(np.log(reference) + probs @ np.exp(log_softmax(logits)) / strength)

    logits = np.log(reference)
    for strength in np.geomspace(max(10.0, tau), tau, 60):
        logits = root(residual, logits, args=(strength,), tol=1e-13).x
    worst = np.abs(residual(logits, tau)).max()
    if worst > 1e-9:
        raise ValueError(f"tau is too small to solve for the regularised equilibrium: {tau} leaves a residual of {worst:.1e}")
    return np.exp(log_softmax(logits))
