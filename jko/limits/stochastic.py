"""Stochastic descents of atoms: by random samples of the data, and with noise.

Both are recursions in discrete time whose limit, as their step and 1/N tend to zero, is a flow: (3.7) for stochastic
gradient descent (footnote 2 and 2.2.1 (iii) of the survey), (4.2) for the noisy one.  They share the energy's
gradient with the JKO steps and nothing else.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy, Entropy, Internal, Risk, joined, refuse, sorted_terms
from jko.limits.descents import check_descent, descended, recursion, refuse_internal
from jko.measures import ChargedParticles, Particles
from jko.measures.tensors import on_numbers
from jko.networks import Data
from jko.spaces import Box, Domain, Torus
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
    check_descent(energy, start)
    refuse_internal(energy)
    checks.count("batch", batch)
    rate, generator = checks.number("rate", rate, above=0), _seeded(generator)
    terms = sorted_terms(energy).all

    def move(mu: Particles) -> Tensor:
        drawn = ((c, _sampled(E, batch, generator) if isinstance(E, Risk) else E) for c, E in terms)
        slope = sum((c * E.gradient(mu) for c, E in drawn), torch.zeros_like(mu.points))
        return descended(mu, rate * slope)

    return recursion(energy, start, move, t1, rate, save)


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
    check_descent(energy, start)
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

    rate, generator = checks.number("rate", rate, above=0), _seeded(generator)
    _refuse_without_walls(start.domain)
    carried = int(isinstance(start, ChargedParticles))  # the first coordinate is H

    def move(mu: Particles) -> Tensor:
        points = mu.points.clone() if rest is None else mu.points - rate * rest.gradient(mu)
        like: dict[str, Any] = {"dtype": points.dtype, "device": generator.device}
        normal = torch.randn((mu.N, mu.dim - carried), generator=generator, **like)
        points[:, carried:] += math.sqrt(2 * noise * rate) * normal.to(points.device)
        points[:, carried:] = _reflected(points[:, carried:], start.domain)
        return points

    return recursion(rest, start, move, t1, rate, save)


def _seeded(generator: torch.Generator) -> torch.Generator:
    checks.kind("generator", generator, torch.Generator, hint="torch.Generator().manual_seed(0)")
    return generator


def _refuse_without_walls(domain: Domain | None) -> None:
    if domain is not None and not isinstance(domain, (Box, Torus)):
        raise TypeError(
            f"atoms with noise are reflected at the walls of a jko.Box; {domain!r} is none"
        )


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
