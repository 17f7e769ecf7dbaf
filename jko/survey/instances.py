"""The networks on which claims are measured, in tensors and, for formulas written out by hand, in arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jko.diagnostics import Convergence
from jko.energies import Energy, Risk, SquaredNorm
from jko.measures import Particles
from jko.networks import Data, Ridge
from jko.survey.claims import Curve, Measurement, Picture

Array = NDArray[np.float64]


LAM = 0.05


@dataclass(frozen=True, eq=False)
class Net:
    """tanh neurons with n = 1, d = 2, on M data in [-2, 2] with f = sin 2x, and ``V = LAM |xi|^2 / 2``."""

    risk: Risk
    mu: Particles

    @property
    def F(self) -> Energy:
        """(2.7) with (2.8)."""
        return self.risk + LAM * SquaredNorm()

    @property
    def points(self) -> Array:
        """The neurons (w, theta), shape (N, 3)."""
        return self.mu.points.numpy()

    @property
    def data(self) -> tuple[Array, Array, Array]:
        """Inputs (M,), targets (M,), quadrature weights (M,)."""
        data = self.risk.data
        return data.x[:, 0].numpy(), data.f.numpy(), data.weights.numpy()


def net(N: int = 20, M: int = 12, seed: int = 0, scale: float = 1.0) -> Net:
    """N neurons drawn from a normal law; D = [-2, 2] by Gauss's rule with M points."""
    nodes, weights = np.polynomial.legendre.leggauss(M)
    x = 2 * nodes
    data = Data(x[:, None], np.sin(2 * x), 2 * weights)
    generator = torch.Generator().manual_seed(seed)
    mu = Particles.normal(N, 3, generator=generator, scale=scale)
    return Net(Risk(data, activation=Ridge(torch.tanh)), mu)


def features(points: Array, x: Array) -> Array:
    """``w tanh(theta' x + theta'')``, shape (N, M)."""
    return points[:, :1] * np.tanh(points[:, 1:2] * x + points[:, 2:])


def loss(points: Array, weights: Array, data: tuple[Array, Array, Array], lam: float) -> float:
    """F of (2.7) with (2.8), written out."""
    x, f, q = data
    r = weights @ features(points, x) - f
    return float(0.5 * (q * r * r).sum() + lam / 2 * weights @ (points**2).sum(1))


def slopes(points: Array, weights: Array, data: tuple[Array, Array, Array], lam: float) -> Array:
    """grad dF/dmu at the points, (3.5), written out."""
    x, f, q = data
    g = q * (weights @ features(points, x) - f)
    t = np.tanh(points[:, 1:2] * x + points[:, 2:])
    s = points[:, :1] * (1 - t * t)
    return np.stack([t @ g, (s * x) @ g, s @ g], axis=1) + lam * points


def first_order(study: Convergence, name: str, error: str) -> Measurement:
    """The last pairwise order in the time step against 1, with the picture of a line of slope one."""
    taus = study.parameters
    curves = (
        Curve(taus, study.errors, name, "dots"),
        Curve(taus, study.errors[0] * taus / taus[0], "order 1", "dashed"),
    )
    picture = Picture(curves, "time step $\\tau$", error, True, True)
    return Measurement(float(study.orders[-1]), 1.0, 0.1, picture=picture)
