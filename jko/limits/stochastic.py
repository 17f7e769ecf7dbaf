"""Stochastic descents of atoms: by random samples of the data, and with noise.

Both are recursions in discrete time whose limit, as their step and 1/N tend to zero, is a flow: (3.7) for stochastic
gradient descent (footnote 2 and 2.2.1 (iii) of the survey), (4.2) for the noisy one.  They share the energy's
gradient with the JKO steps and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy, Entropy, Internal, Risk, joined, refuse, sorted_terms, value_of
from jko.limits.stopped import LimitStopped
from jko.measures import ChargedParticles, Particles, State
from jko.measures.tensors import on_numbers
from jko.networks import Data
from jko.spaces import Box, Domain, Torus
from jko.status import Status
from jko.trajectory import Trajectory


@np.errstate(all="ignore")
@on_numbers
def sgd(
    energy: Energy,
    start: Particles | ChargedParticles,
    *,
    t1: float,
    rate: float,
    batch: int,
    generator: torch.Generator,
    save: int = 1,
) -> Trajectory:
    """Stochastic gradient descent: ``xi_i <- xi_i - rate grad phi_B(xi_i)`` with a new sample B of the data each time.

    ``phi_B`` is the first variation of the energy with its risks replaced by unbiased estimates: ``batch`` data are
    drawn with replacement, x_m with probability ``q_m / |D|``, and each counts with the weight ``|D| / batch``, where
    ``|D| = sum_m q_m``.  Potentials and interactions enter as they are.

    Parameters
    ----------
    energy : Energy
        F or G; no internal energies.
    start : Particles or ChargedParticles
        Any weights.
    t1 : float
        Flow time at which to end: after ``round(t1 / rate)`` updates.
    rate : float
        The learning rate for the neurons of the mean-field scaling (2.1): one update is ``rate`` units of flow time.
        The factor N of (2.4) is in it already.
    batch : int
        Data in a sample.
    generator : torch.Generator
        Where the samples come from.
    save : int
        Keep every ``save``-th state, and the last.

    Returns
    -------
    Trajectory
        Its energies are those of the whole data.

    Raises
    ------
    LimitStopped
        A RuntimeError with the ``trajectory`` so far, if an atom leaves to infinity.

    Notes
    -----
    Source: survey footnote 2, 2.2.1 (iii); Mei, Montanari, Nguyen, PNAS 115 (2018).  The distance of the predictions
    from the flow's at a fixed time is of order ``sqrt(rate / batch) + rate``.

    Examples
    --------
    >>> import jko, torch
    >>> data = jko.Data([[0.0], [1.0]], [0.0, 1.0])
    >>> F = jko.Risk(data, activation=jko.Ridge(torch.tanh))
    >>> mu = jko.Particles([[1.0, 0.5, 0.0]])
    >>> seed = torch.Generator().manual_seed(0)
    >>> jko.limits.sgd(F, mu, t1=1.0, rate=0.1, batch=1, generator=seed).energies.shape
    (11,)
    """
    _check(energy, start)
    checks.count("batch", batch)
    terms = sorted_terms(energy)

    def velocity(mu: Particles) -> Tensor:
        drawn = (
            (c, _sampled(E, batch, generator) if isinstance(E, Risk) else E) for c, E in terms.all
        )
        return -sum((c * E.gradient(mu) for c, E in drawn), torch.zeros_like(mu.points))

    refuse(
        terms.internal,
        "{energy} in the energy: stochastic gradient descent moves atoms, which have no density; leave it out",
        TypeError,
    )
    return _recursion(energy, start, velocity, 0.0, t1, rate, generator, save)


@np.errstate(all="ignore")
@on_numbers
def langevin(
    energy: Energy,
    start: Particles | ChargedParticles,
    *,
    t1: float,
    rate: float,
    generator: torch.Generator,
    save: int = 1,
) -> Trajectory:
    """Noisy gradient descent: ``xi_i <- xi_i - rate grad phi(xi_i) + sqrt(2 c rate) N(0, I)``.

    Of :class:`Particles` the law tends to the solution of (4.2), the flow of the energy with ``c * Entropy()``, as the
    rate tends to zero and N to infinity: errors of order ``rate`` and ``1 / sqrt(N)``.

    Of a pair (rho, H) the entropy is that of rho, so the noise is in theta alone:
    ``theta_i <- theta_i - rate grad_theta phi + sqrt(2 c rate) N(0, I)``, and every atom carries its H, which falls by
    ``rate d_w phi``.  rho follows (3.23) with ``+ c Lap rho`` for the H that it meets.  Noise mixes atoms of different
    H at one theta: what they carry then is H only in the mean over them, so that the law is a measure on R x Theta
    rather than a graph, unless H is constant.  The gradient flow of G with entropy in D, where H is transported by
    ``-c grad log rho`` and stays a graph, is :data:`jko.limits.chaos` of a :class:`jko.ChargedDensity`.

    Parameters
    ----------
    energy : Energy
        With at least one ``c * Entropy()``, c > 0, which becomes the noise; no other internal energy.
    start, t1, rate, generator, save
        As in :func:`sgd`.

    Returns
    -------
    Trajectory
        Its energies are those of the other terms: atoms have no entropy.  Of Brownian motion alone they are zero.

    Raises
    ------
    LimitStopped
        A RuntimeError with the ``trajectory`` so far, if an atom leaves to infinity.

    Notes
    -----
    Source: survey 4.1.  In a :class:`jko.Box` (of a pair: of theta) atoms are reflected at the walls, as often as they
    cross them, which is no flux (4.3); other domains are refused.

    Examples
    --------
    >>> import jko, torch
    >>> seed = torch.Generator().manual_seed(0)
    >>> mu = jko.Particles(torch.zeros(2000, 1, dtype=torch.float64))
    >>> F = jko.SquaredNorm() + 0.5 * jko.Entropy()
    >>> run = jko.limits.langevin(F, mu, t1=5.0, rate=0.05, generator=seed)
    >>> round(float(run.final.covariance()), 1)
    0.5
    """
    _check(energy, start)
    terms = sorted_terms(energy)
    noise = sum(c for c, _ in terms.of(Entropy))
    if not noise > 0:
        raise ValueError(
            f"the coefficients of Entropy add up to {noise:g}; they are the strength of the noise, so add c * "
            "jko.Entropy() with c > 0, or use jko.limits.wasserstein"
        )
    others = terms.without(Entropy)
    refuse(
        ((c, E) for c, E in others if isinstance(E, Internal)),
        "{energy} in the energy: noise is the limit of Entropy alone; leave it out",
        TypeError,
    )
    rest = joined(others)

    def velocity(mu: Particles) -> Tensor:
        return torch.zeros_like(mu.points) if rest is None else -rest.gradient(mu)

    return _recursion(rest, start, velocity, noise, t1, rate, generator, save)


def _check(energy: Energy, start: Particles | ChargedParticles) -> None:
    checks.kind("energy", energy, Energy)
    checks.kind("start", start, Particles, ChargedParticles)


def _recursion(
    energy: Energy | None,
    start: Particles | ChargedParticles,
    velocity: Callable[[Particles], Tensor],
    noise: float,
    t1: float,
    rate: float,
    generator: torch.Generator,
    save: int,
) -> Trajectory:
    checks.kind("generator", generator, torch.Generator, hint="torch.Generator().manual_seed(0)")
    rate, t1 = checks.number("rate", rate, above=0), checks.number("t1", t1, above=0)
    save, updates = checks.count("save", save), max(1, round(t1 / rate))
    if noise and start.domain is not None and not isinstance(start.domain, (Box, Torus)):
        raise TypeError(
            f"atoms with noise are reflected at the walls of a jko.Box; {start.domain!r} is none"
        )

    def value(mu: Particles) -> float:
        return 0.0 if energy is None else value_of(energy, mu)

    carried = int(isinstance(start, ChargedParticles))  # the first coordinate is H
    mu = start.atoms
    states: list[State] = [start]
    kept, energies = [0], [value(mu)]

    def so_far(status: Status) -> Trajectory:
        times = rate * np.arange(len(energies))
        return Trajectory(times, np.array(energies), tuple(states), np.array(kept), status=status)

    for k in range(1, updates + 1):
        points = mu.points + rate * velocity(mu)
        if noise:
            shape = (mu.N, mu.dim - carried)
            like: dict[str, Any] = {"dtype": points.dtype, "device": generator.device}
            normal = torch.randn(shape, generator=generator, **like)
            points[:, carried:] += math.sqrt(2 * noise * rate) * normal.to(points.device)
            points[:, carried:] = _reflected(points[:, carried:], start.domain)
        elif mu.domain is not None:
            points = mu.domain.project(points)
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


def _reflected(points: Tensor, domain: Domain | None) -> Tensor:
    """Points that left a box, reflected at its walls as often as they meet one."""
    if isinstance(domain, Torus):
        return _reflected(points, domain.walls)
    if not isinstance(domain, Box):
        return points
    lower, upper = domain.lower.to(points), domain.upper.to(points)
    width = upper - lower
    once = torch.where(points < lower, 2 * lower - points, points)
    once = torch.where(points > upper, 2 * upper - points, once)
    there = (points - lower).remainder(2 * width)  # between two walls the path is periodic
    folded = lower + torch.minimum(there, 2 * width - there)
    return domain.project(torch.where(width.isfinite(), folded, once))


def _sampled(risk: Risk, batch: int, generator: torch.Generator) -> Risk:
    """An unbiased estimate of the risk's gradient: a risk on a sample of its data."""
    q = risk.data.weights
    rows = torch.multinomial(q.to(generator.device), batch, replacement=True, generator=generator)
    rows = rows.to(q.device)
    weights = (q.sum() / batch).expand(batch)
    sample = Data(risk.data.x[rows], risk.data.f[rows], weights)
    return Risk(sample, features=risk.features, loss=risk.loss)
