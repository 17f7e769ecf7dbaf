"""The networks on which claims are measured, in tensors and, for formulas written out by hand, in arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

import jko.limits
from jko.diagnostics import Convergence
from jko.energies import Energy, Risk, SquaredNorm
from jko.measures import Particles, State
from jko.networks import Data, Ridge
from jko.survey.claims import Curve, Measurement, Numbers, Picture

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
        return arrays(self.risk.data)


def net(N: int = 20, M: int = 12, seed: int = 0, scale: float = 1.0) -> Net:
    """N neurons drawn from a normal law; D = [-2, 2] by Gauss's rule with M points."""
    nodes, weights = np.polynomial.legendre.leggauss(M)
    x = 2 * nodes
    data = Data(x[:, None], np.sin(2 * x), 2 * weights)
    generator = torch.Generator().manual_seed(seed)
    mu = Particles.normal(N, 3, generator=generator, scale=scale)
    return Net(Risk(data, activation=Ridge(torch.tanh)), mu)


def arrays(data: Data) -> tuple[Array, Array, Array]:
    """Inputs (M,), n = 1, targets (M,), quadrature weights (M,)."""
    return data.x[:, 0].numpy(), data.f.numpy(), data.weights.numpy()


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


def descent(points: Array, weights: Array, data: tuple[Array, Array, Array], t: float) -> Array:
    """(2.4) with V, written out and integrated by scipy from points (N, 3): where the neurons are at the time t."""

    def velocity(_: float, flat: Array) -> Array:
        return -slopes(flat.reshape(points.shape), weights, data, LAM).ravel()

    run = solve_ivp(velocity, (0, t), points.ravel(), rtol=1e-9, atol=1e-11)
    return run.y[:, -1].reshape(points.shape)


def central(function: Callable[[Array], Any], at: Array, e: float = 1e-5) -> Array:
    """Derivatives of a function in all coordinates of ``at``, by central differences, (at.size, ...)."""
    steps = e * np.eye(at.size).reshape(at.size, *at.shape)
    return np.array([(function(at + s) - function(at - s)) / (2 * e) for s in steps])


STEP = 1e-3  # of central differences in time


def about_half(energy: Energy, mu: Particles) -> list[State]:
    """The states of the Wasserstein flow from mu at 1/2 - STEP, 1/2, 1/2 + STEP, for central differences."""
    times = [0.5 - STEP, 0.5, 0.5 + STEP]
    run = jko.limits.wasserstein(energy, mu, t1=times[-1], rtol=1e-11, times=times)
    return list(run.states[-3:])


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The power of x that y is, fitted."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def power_law(x: Numbers, y: Numbers, power: float, names: Sequence[str]) -> Picture:
    """Points (x, y) beside a line of a power of x through the first; names of both, and of the axes."""
    line = y[0] * (np.asarray(x) / x[0]) ** power
    curves = Curve(x, y, names[0], "dots"), Curve(x, line, names[1], "dashed")
    return Picture(curves, names[2], names[3], True, True)


def order_in_N(
    predict: Callable[[Particles], Tensor],
    large: Particles,
    repeats: int,
    tolerance: float,
    names: tuple[str, str],
) -> Measurement:
    """The exponent -1/2 of N in the root mean square, over samples, of the distance of predictions from the limit's.

    ``predict`` gives values at data (M,), or at times and data (K, M): then of the largest of the times.  The limit is
    that of a large sample.
    """
    limit, sizes, errors = predict(large), [16, 32, 64, 128], []
    for N in sizes:
        squares = [
            float((predict(net(N, seed=k).mu) - limit).square().mean(-1).max())
            for k in range(repeats)
        ]
        errors.append(float(np.mean(squares)) ** 0.5)
    picture = power_law(sizes, errors, -0.5, (names[0], "$N^{-1/2}$", "neurons $N$", names[1]))
    return Measurement(-exponent(sizes, errors), 0.5, tolerance, picture=picture)


def first_order(study: Convergence, name: str, error: str) -> Measurement:
    """The last pairwise order in the time step against 1, with the picture of a line of slope one."""
    names = name, "order 1", "time step $\\tau$", error
    picture = power_law(study.parameters, study.errors, 1.0, names)
    return Measurement(float(study.orders[-1]), 1.0, 0.1, picture=picture)
