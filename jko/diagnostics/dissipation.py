"""The dissipation (3.9) and the residual of stationarity (3.10)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy
from jko.measures import Particles, State, lifted


class Stationarity(NamedTuple):
    """How far a measure is from stationary: the speed ``|grad dF/dmu|`` on its atoms.

    Attributes
    ----------
    max
        The largest over the atoms.
    mean
        Root mean square against mu.
    """

    max: float
    mean: float


def dissipation(energy: Energy, state: State) -> float:
    """The rate at which the gradient flow lowers the energy: ``-dF/dt = int |grad dF/dmu|^2 dmu``.

    For a pair (rho, H) it is that of (3.23): ``int |grad_theta|^2 + (d_H)^2 drho`` of Proposition 3.3, in D.

    Notes
    -----
    Source: survey (3.9).  With a domain the velocity is the part of ``-grad dF/dmu`` that does not leave it (3.11).

    Examples
    --------
    >>> import jko
    >>> jko.dissipation(jko.SquaredNorm(), jko.Particles([[3.0], [1.0]]))
    5.0
    """
    mu, v = _flow_velocity(energy, state)
    return float(mu.integrate((v * v).sum(-1)))


def stationarity(energy: Energy, state: State) -> Stationarity:
    """The residual of Definition 3.1, ``grad dF/dmu = 0`` on the support: its maximum and its L2(mu) mean.

    Notes
    -----
    Source: survey (3.10); with a domain, (3.11).  A stationary measure need not be a minimiser, nor are stationary
    measures unique; :func:`jko.optimality` bounds the distance to the minimum.

    Examples
    --------
    >>> import jko
    >>> jko.stationarity(jko.SquaredNorm(), jko.Particles([[0.0], [0.0]]))
    Stationarity(max=0.0, mean=0.0)
    """
    mu, v = _flow_velocity(energy, state)
    square = (v * v).sum(-1)
    return Stationarity(float(square.max().sqrt()), float(mu.integrate(square).sqrt()))


def _flow_velocity(energy: Energy, state: State) -> tuple[Particles, Tensor]:
    """-grad dF/dmu on the atoms, projected on the tangent cone of the domain where an atom sits on its boundary.

    The projection is the one-sided derivative of ``s -> P(xi + s v)``; differences give it to half of the digits on
    a curved boundary, and exactly on a box.
    """
    checks.kind("energy", energy, Energy, hint="build it from jko.Risk, jko.SquaredNorm, ... by +")
    mu = lifted(state)
    v = -energy.gradient(mu)
    if mu.domain is None:
        return mu, v
    size = 1 + float(mu.points.abs().max())
    s = torch.finfo(v.dtype).eps ** 0.5 * size / (float(v.abs().max()) or 1.0)
    ahead = mu.points + s * v
    held = mu.domain.project(ahead)
    return mu, torch.where(held == ahead, v, (held - mu.points) / s)
