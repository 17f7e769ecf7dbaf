"""``fit``: the potential that moves each snapshot to the next one."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from jko import checks
from jko.energies import Potential
from jko.measures import Particles, State
from jko.snapshots.features import Features, combination, together
from jko.snapshots.least_squares import LeastSquares, Transition
from jko.snapshots.result import SCHEMES, SnapshotFit, other_scheme
from jko.trajectory import Trajectory


def fit(
    snapshots: Trajectory | Sequence[Any],
    features: Features | Iterable[Features],
    *,
    tau: float,
    scheme: str = "implicit",
    ridge: float = 0.0,
) -> SnapshotFit:
    """Find the potential that moves each snapshot to the next one.

    Parameters
    ----------
    snapshots : sequence of states or (N, dim) arrays, or a Trajectory
        ``mu_0, ..., mu_T`` at times tau apart.  Numbers of atoms and weights may differ, no atom needs a partner.  Of a
        pair (rho, H) it is the lift.
    features : callable, or several
        (n, dim) -> (n, p) in torch operations: :class:`Monomials`, :class:`Bumps`, or one's own; of several, all.
    tau : float
        Time between two snapshots, > 0.
    scheme : str
        What made the snapshots: ``"implicit"`` (JKO steps) or ``"explicit"`` (Euler's steps).  Of a continuous flow
        each is right to first order in tau.
    ridge : float
        Penalty of the coefficients, >= 0, for many features that are alike.

    Returns
    -------
    SnapshotFit
        V with its residuals; ``found.refused`` says where the span does not explain the data.

    Raises
    ------
    TypeError, ValueError
        Fewer than two snapshots, different dimensions, features of a wrong shape or without a derivative, snapshots
        that do not move.

    Notes
    -----
    Where plans split atoms, the mean of their partners counts.  Constants have no gradient: V is known up to one.

    Examples
    --------
    >>> import jko
    >>> from jko.snapshots import Monomials, fit
    >>> start = jko.Particles([[1.0], [2.0], [4.0]])
    >>> run = jko.flow(3 * jko.SquaredNorm(), start, tau=0.1, steps=4, solver=jko.LBFGS(tol=1e-12))
    >>> found = fit(run, Monomials(4), tau=0.1)
    >>> [abs(round(c, 5)) for c in found.coefficients.tolist()], found.refused
    ([0.0, 1.5, 0.0, 0.0], None)
    """
    tau = checks.number("tau", tau, above=0)
    ridge = checks.number("ridge", ridge, least=0)
    if scheme not in SCHEMES:
        raise ValueError(
            f"scheme = {checks.shown(scheme)}; say 'implicit' for JKO steps, 'explicit' for Euler's"
        )
    clouds = _clouds(snapshots)
    phi = together(features)
    moves = [Transition.of(a, b, tau) for a, b in itertools.pairwise(clouds)]
    found, other = (LeastSquares(moves, phi, how, ridge) for how in (scheme, other_scheme(scheme)))
    c = found.coefficients
    return SnapshotFit(
        potential=Potential(partial(combination, phi, torch.from_numpy(c))),
        coefficients=c,
        scheme=scheme,
        residuals=np.sqrt(found.missed(c) / found.speeds),
        held_out=np.array([found.held_out(k) for k in range(len(moves))]),
        residual=found.residual,
        other=other.residual,
        condition=found.condition,
        exact=all(move.exact for move in moves),
    )


def _clouds(snapshots: Any) -> list[Particles]:
    """The snapshots as atoms with mass, in one space."""
    states = (
        snapshots.states
        if isinstance(snapshots, Trajectory)
        else checks.items("snapshots", snapshots)
    )
    if len(states) < 2:
        raise ValueError(f"there are {len(states)} snapshots; a transition takes two")
    clouds = [
        (one if isinstance(one, State) else Particles(one)).to_particles().atoms for one in states
    ]
    for k, mu in enumerate(clouds):
        if mu.dim != clouds[0].dim:
            raise ValueError(f"snapshot {k} has dimension {mu.dim}, and snapshot 0 {clouds[0].dim}")
        checks.alike(f"snapshot {k}", mu.points, "snapshot 0", clouds[0].points)
    return clouds
