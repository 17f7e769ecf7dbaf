"""Descents in discrete time: the recursion that they share, and gradient descent of the neurons, (2.4)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy, refuse, sorted_terms, value_of
from jko.limits.stopped import LimitStopped
from jko.measures import ChargedParticles, Particles, State
from jko.measures.tensors import on_numbers
from jko.status import Status
from jko.trajectory import Trajectory


@np.errstate(all="ignore")
@on_numbers
def gradient_descent(
    energy: Energy,
    start: Particles | ChargedParticles,
    *,
    t1: float,
    rate: float,
    save: int = 1,
) -> Trajectory:
    """Gradient descent (2.4) of the neurons: ``xi_i <- xi_i - rate N grad_i F_N = xi_i - rate (grad dF/dmu)(xi_i)``.

    With equal weights both are the same, N being the factor of (2.4); with others the second is meant.  It is the
    explicit Euler method for (3.7), (3.23) of pairs, where a JKO step is the implicit one: of first order in ``rate``,
    and stable only where ``rate`` times the largest curvature stays below 2.

    Parameters
    ----------
    energy : Energy
        F or G; no internal energies.
    start : Particles or ChargedParticles
        Any weights.  With a domain, points that leave it are projected back.
    t1 : float
        Flow time at which to end: after ``round(t1 / rate)`` updates.
    rate : float
        The learning rate in flow time; that of N separate parameters is ``rate N``.
    save : int
        Keep every ``save``-th state, and the last.

    Raises
    ------
    TypeError
        An internal energy: atoms have no density.
    LimitStopped
        A RuntimeError with the ``trajectory`` so far, if an atom leaves to infinity: the rate is too large.

    Notes
    -----
    Source: survey (2.3)-(2.4), 2.2.1 (ii).  As printed (2.4) has no potential; here it is that of the energy.

    Examples
    --------
    >>> import jko
    >>> run = jko.limits.gradient_descent(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), t1=1.0, rate=0.25
    ... )
    >>> float(run.final.points)  # (1 - rate)^4
    0.31640625
    """
    check_descent(energy, start)
    refuse_internal(energy)
    rate = checks.number("rate", rate, above=0)

    def move(mu: Particles) -> Tensor:
        return descended(mu, rate * energy.gradient(mu))

    return recursion(energy, start, move, t1, rate, save)


def check_descent(energy: Energy, start: Particles | ChargedParticles) -> None:
    """What every descent needs: an energy, and atoms."""
    checks.kind("energy", energy, Energy)
    checks.kind("start", start, Particles, ChargedParticles)


def refuse_internal(energy: Energy) -> None:
    """Refuse energies that atoms do not have."""
    refuse(
        sorted_terms(energy).internal,
        "{energy} in the energy: a gradient descent moves atoms, which have no density; leave it out",
        TypeError,
    )


def descended(mu: Particles, down: Tensor) -> Tensor:
    """Where the atoms are after a move by ``-down``, put back into their domain."""
    points = mu.points - down
    return points if mu.domain is None else mu.domain.project(points)


def recursion(
    energy: Energy | None,
    start: Particles | ChargedParticles,
    move: Callable[[Particles], Tensor],
    t1: float,
    rate: float,
    save: int,
) -> Trajectory:
    """``points <- move(mu)`` until the time t1, one update for each ``rate`` of it."""
    t1 = checks.number("t1", t1, above=0)
    save, updates = checks.count("save", save), max(1, round(t1 / rate))

    def value(mu: Particles) -> float:
        return 0.0 if energy is None else value_of(energy, mu)

    mu = start.atoms
    states: list[State] = [start]
    kept, energies = [0], [value(mu)]

    def so_far(status: Status) -> Trajectory:
        times = rate * np.arange(len(energies))
        return Trajectory(times, np.array(energies), tuple(states), np.array(kept), status=status)

    for k in range(1, updates + 1):
        points = move(mu)
        try:
            if not bool(torch.isfinite(points).all()):
                raise ValueError("an atom left to infinity; lower the rate")
            mu = mu.moved(points)
            if k % save == 0 or k == updates:
                states.append(start.placed(mu.points))
                kept.append(k)
        except ValueError as error:  # or two atoms of a pair met on a wall
            raise LimitStopped(
                f"at t = {k * rate:g} of {t1:g} {error}", so_far(Status.ERROR)
            ) from None
        energies.append(value(mu))
    return so_far(Status.FINISHED)
