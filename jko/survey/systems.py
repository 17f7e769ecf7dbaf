"""The pair (rho, H) on which the three evolutions are measured, and what they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

import jko.limits
from jko import checks
from jko.energies import Energy, Risk, SquaredNorm
from jko.limits.systems import System
from jko.measures import ChargedDensity, ChargedParticles
from jko.networks import Data
from jko.spaces import Grid
from jko.survey.claims import Curve, Measurement, Picture
from jko.survey.instances import Array, arrays
from jko.trajectory import Trajectory


@dataclass(frozen=True, eq=False)
class Line:
    """A pair on Theta = [-3, 3]: tanh(x + theta), 24 data, rho_0 = N(.3, .6^2) cut off, H_0 = 1 + .6 sin 1.3 theta."""

    G: Energy
    risk: Risk

    @staticmethod
    def density(theta: Tensor) -> Tensor:
        """rho_0, up to a factor."""
        return torch.exp(-0.5 * ((theta[:, 0] - 0.3) / 0.6) ** 2)

    @staticmethod
    def charge(theta: Tensor) -> Tensor:
        """H_0."""
        return 1 + 0.6 * torch.sin(1.3 * theta[:, 0])

    @staticmethod
    def activation(theta: Tensor, x: Tensor) -> Tensor:
        """tanh(x + theta)."""
        return torch.tanh(x.T + theta)

    @property
    def data(self) -> tuple[Array, Array, Array]:
        """Inputs (M,), targets (M,), quadrature weights (M,)."""
        return arrays(self.risk.data)

    def grid(self, cells: int) -> ChargedDensity:
        """The pair on a grid."""
        return ChargedDensity.from_function(Grid((-3.0, 3.0), cells), self.density, self.charge)

    def labels(self, n: int = 96) -> jko.limits.Labels:
        """The pair in label form."""
        return jko.limits.Labels.chebyshev(self.density, self.charge, (-3.0, 3.0), n)

    def N(self, theta: Array, H: Array, m: Array) -> tuple[Array, Array, Array]:
        """N = Lbar + Sbar of the masses m with charges H at theta, N' and N'' there, written out."""
        x, f, q = self.data
        t = np.tanh(theta[:, None] + x)
        s, g = 1 - t * t, q * ((m * H) @ t - f)
        return t @ g, s @ g, (-2 * t * s) @ g


LINE_LAM = 0.1


def line() -> Line:
    """The pair, with Vbar = LINE_LAM (H^2 + theta^2) / 2."""
    x = torch.linspace(-2, 2, 24, dtype=torch.float64)[:, None]
    data = Data(x, 1.5 * torch.sin(1.5 * x[:, 0]))
    risk = Risk(data, activation=Line.activation)
    return Line(risk + LINE_LAM * SquaredNorm(), risk)


SYSTEMS = (jko.limits.chaos, jko.limits.separated, jko.limits.transported)


def charged(pair: object) -> ChargedParticles:
    """The pair on atoms that a run in label form has."""
    return checks.kind("the state", pair, ChargedParticles)


def on_cells(run: Trajectory) -> list[ChargedDensity]:
    """The pairs on a grid that a run by finite volumes has."""
    return [state for state in run.states if isinstance(state, ChargedDensity)]


def _rates(system: System) -> tuple[Array, Array]:
    """By formulas written out: theta' and H' of the labels at time zero."""
    example = line()
    labels = example.labels(48)
    theta, H, m = (t.numpy() for t in (labels.u, labels.H, labels.weights))
    N, slope, _ = example.N(theta, H, m)
    B = labels.D.numpy() @ H  # the labels are theta at time zero
    p = N + LINE_LAM * H
    w = -H * slope - LINE_LAM * theta  # (3.24)
    v = w - p * B  # (3.22): minus the whole derivative of H N + lam/2 (H^2 + theta^2)
    velocity = v if system.total else w
    return velocity, -p if system.carried else -p + velocity * B


def right_side(system: System) -> Measurement:
    """Differences of the label form over a short time, against the printed right side."""
    example, e = line(), 1e-4
    labels = example.labels(48)
    run = system(example.G, labels, t1=2 * e, times=[e, 2 * e], rtol=1e-12)
    a, b, c = (charged(run.at(t)) for t in (0.0, e, 2 * e))
    velocity, rate = _rates(system)
    slopes = ((-3 * a.lift().points + 4 * b.lift().points - c.lift().points) / (2 * e)).numpy()
    error = np.abs(slopes[:, 1] - velocity).max() + np.abs(slopes[:, 0] - rate).max()
    return Measurement(float(error), 0.0, 1e-6)


def dissipates(system: System, quick: bool) -> Measurement:
    """A central difference of G in time along finite volumes against the formula, worst over the kept times."""
    example, n = line(), 200 if quick else 400
    times = np.linspace(0, 0.6, 25)
    run = system(example.G, example.grid(n), t1=0.6, times=times)
    differences = (run.energies[2:] - run.energies[:-2]) / (times[2:] - times[:-2])
    formula = np.array([system.rate(example.G, s) for s in on_cells(run)[1:-1]])
    picture = Picture(
        (
            Curve(times[1:-1], differences, "differences of $G$", "dots"),
            Curve(times[1:-1], formula, "formula"),
        ),
        "$t$",
        "$dG/dt$",
    )
    return Measurement(float(np.abs(differences - formula).max()), 0.0, 5e-4, picture=picture)
