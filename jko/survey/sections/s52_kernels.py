"""Section 5.2: two hidden layers with N1 and N2 to infinity."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.integrate import solve_ivp

import jko.limits
from jko.diagnostics import layer_study
from jko.energies import TwoLayerRisk
from jko.measures import LayerKernels
from jko.networks import Data
from jko.survey.claims import Curve, Measurement, Picture, limit
from jko.survey.instances import Array

T = 1.0


@limit(
    "5.2",
    r"in the product of both layers (5.1) has a flow for $N_1, N_2 \to \infty$, that of kernels $b(u, v)$; random "
    r"neurons come to it at order 1/2 in $N_2$",
)
def kernels(quick: bool) -> Measurement:
    """Order of ``sup_t |f_{N2} - f|``, if the flow of the kernels is that of 300 x 300 labels at midpoints by scipy."""
    x = torch.linspace(-2, 2, 15, dtype=torch.float64)[:, None]
    F = TwoLayerRisk(Data(x, torch.sin(2 * x[:, 0])))
    law = LayerKernels(
        theta=lambda u: 4 * u - 2,
        b=lambda u, v: (3 * torch.sin(3 * u - 2 * v) + v)[..., 0],
        w=lambda v: 4 * v[:, 0] - 1,
    )
    sizes, repeats = (8, 64, 512), 12 if quick else 24
    study = layer_study(F, law, t1=T, N2=sizes, repeats=repeats, times=[T / 2, T])
    end = jko.limits.wasserstein(F, law.limit(24), t1=T).final
    apart = float(np.abs(F.predict(end).numpy() - _by_hand(x[:, 0].numpy(), 300)).max())
    N2 = study.N2.astype(float)
    line = study.means[0] * (N2[0] / N2) ** 0.5
    dots = Curve(N2, study.means, "mean over networks", "dots")
    picture = Picture((dots, Curve(N2, line, "order 1/2", "dashed")), "$N_2$", "error", True, True)
    return Measurement(study.order.value if apart < 1e-3 else math.nan, 0.5, 0.12, picture=picture)


def _by_hand(x: Array, N: int) -> Array:
    """What the network of N x N labels says at time T."""
    u = (np.arange(N) + 0.5) / N
    b = 3 * np.sin(3 * u[:, None] - 2 * u) + u
    f = np.sin(2 * x)

    def parts(y: Array) -> tuple[Array, Array, Array, Array, Array]:
        theta, b, w = y[:N], y[N : N + N * N].reshape(N, N), y[-N:]
        first = np.tanh(theta[:, None] * x)
        return b, w, first, np.tanh(first.T @ b / N), theta

    def rates(t: float, y: Array) -> Array:
        b, w, first, outer, _ = parts(y)
        g = (outer @ w / N - f) / len(x)
        back = g[:, None] * (1 - outer**2) * w
        pull = ((b @ back.T / N) * (1 - first**2)) @ x
        return -np.concatenate([pull, (first @ back).ravel(), outer.T @ g])

    start = np.concatenate([4 * u - 2, b.ravel(), 4 * u - 1])
    end = solve_ivp(rates, (0, T), start, rtol=1e-6, atol=1e-8).y[:, -1]
    _, w, _, outer, _ = parts(end)
    return np.asarray(outer @ w / N)
