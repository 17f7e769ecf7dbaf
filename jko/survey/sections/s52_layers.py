"""Section 5.2: two hidden layers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from jko.energies import SquaredNorm, TwoLayerRisk
from jko.flows import flow
from jko.measures import Particles
from jko.networks import Data
from jko.steps import LBFGS
from jko.survey.claims import Curve, Measurement, Picture, identity
from jko.survey.instances import Array


@identity(
    "(5.1)",
    "two hidden layers: the JKO scheme on both layers of particles dissipates; small steps pay half of the fall",
)
def two_layers(quick: bool) -> Measurement:
    """The part ``|nu_1 - nu_0|^2 / (2 tau)`` of the fall of the two-layer risk in one step of tau = .001, written out.

    Twenty steps of tau = 5 fall by more than they pay, too.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.linspace(-2, 2, 15, dtype=torch.float64)[:, None]
    F = TwoLayerRisk(Data(x, torch.sin(2 * x[:, 0])), N2=4) + 1e-3 * SquaredNorm()
    points = torch.randn(30, 9, generator=generator, dtype=torch.float64)
    points[:, 5:] = points[0, 5:]
    run = flow(F, Particles(points), tau=5.0, steps=20)
    picture = Picture(
        (Curve(run.times, run.energies, "", "dots"),), "$t$", "two-layer risk", logy=True
    )

    def energy(z: Array) -> float:
        theta, b, w = z[:, :1], z[:, 1:5], z[:, 5:].mean(0)
        inner = np.tanh(theta * x.numpy()[:, 0]).T @ b / 30
        r = np.tanh(inner) @ w / 4 - np.sin(2 * x.numpy()[:, 0])
        return float((r**2).mean() / 2 + 5e-4 * (z**2).sum(1).mean())

    def part(a: Array, b: Array, tau: float) -> float:
        return float(((a - b) ** 2).sum(1).mean() / (2 * tau) / (energy(a) - energy(b)))

    places = [state.support.numpy() for state in run.states]
    parts = [part(a, b, 5.0) for a, b in itertools.pairwise(places)]
    short = flow(F, Particles(points), tau=1e-3, steps=1, solver=LBFGS(tol=1e-10)).final
    half = part(points.numpy(), short.support.numpy(), 1e-3)
    return Measurement(half if max(parts) <= 1 else math.nan, 0.5, 1e-3, picture=picture)
