"""Section 4.3: what holds at a minimiser, and proves that it is one."""

from __future__ import annotations

import math

import torch

from jko.diagnostics import optimality
from jko.energies import Energy, Potential, Risk
from jko.flows import flow
from jko.measures import Particles
from jko.networks import Data
from jko.steps import BlockNewton
from jko.survey.claims import Measurement, erratum, identity, inequality


def _trained() -> tuple[Energy, Particles]:
    """Neurons cos(x - theta) on a circle, at rest: the closed-form minimum has one place."""
    angle = torch.arange(16, dtype=torch.float64) * (2 * math.pi / 16)
    data = Data(angle[:, None], 2 * torch.cos(angle - 0.7) / math.pi**0.5, [2 * math.pi / 16] * 16)
    R = Risk(data, activation=lambda theta, x: torch.cos(x.T - theta) / math.pi**0.5)
    F = R + 0.1 * Potential(lambda xi: 0.5 * xi[:, 0] ** 2)
    start = Particles([[0.5, 0.2], [0.3, 1.0], [0.4, 0.9]])
    run = flow(F, start, tau=2.0, steps=60, solver=BlockNewton(tol=1e-12))
    return F, run.final  # type: ignore[return-value]


@identity(
    "(4.9), footnote 11",
    r"at a local minimiser $\frac{\delta F}{\delta\mu}$ is constant on the support",
)
def constant_on_support(quick: bool) -> Measurement:
    """The spread of dF/dmu over the atoms at the end of a flow."""
    F, mu = _trained()
    phi = F.variation(mu)
    return Measurement(float(phi.max() - phi.min()), 0.0, 1e-9)


@inequality(
    "(4.10), footnote 12", r"and nowhere smaller: then $F(\mu_*)$ is the minimum over all measures"
)
def smallest_on_support(quick: bool) -> Measurement:
    """How far dF/dmu is below its value on the support, over a grid of Omega and the support itself."""
    F, mu = _trained()
    w, theta = torch.meshgrid(
        torch.linspace(-4, 4, 161, dtype=torch.float64),
        torch.linspace(0, 2 * math.pi, 161, dtype=torch.float64),
        indexing="ij",
    )
    points = torch.cat([torch.stack([w.flatten(), theta.flatten()], dim=1), mu.points])
    phi = F.variation(mu, points)
    return Measurement(float(F.variation(mu).mean() - phi.min()), 0.0, 1e-9)


@erratum(
    "4.3",
    r"$F(\mu) - F(\mu_*) \ge \frac{1}{2} \int (f_\mu - f_{\mu_*})^2\, dx$: the constant is 1/2, not 1",
)
def half(quick: bool) -> Measurement:
    """The ratio of both sides where it is smallest: V = 0 and f_{mu_*} = f."""
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)[:, None]
    star = Particles([[1.0, 2.0], [-0.5, 1.0]])

    def Phi(xi: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return xi[:, :1] * torch.tanh(xi[:, 1:] * x.T)

    F = Risk(Data(x, Phi(star.points, x).mean(0)), features=Phi)
    mu = Particles([[0.3, 1.0], [2.0, -0.5], [1.0, 0.1]])
    square = float((F.data.weights * (F.predict(mu) - F.predict(star)) ** 2).sum())
    return Measurement(float(F(mu) - F(star)) / square, 0.5, 1e-12, printed=1.0)


@inequality("4.3", r"minimality can be proved: the gap of (4.10) bounds $F(\mu_*) - \min F$")
def proved(quick: bool) -> Measurement:
    """:func:`jko.optimality` at the end of a flow."""
    F, mu = _trained()
    return Measurement(optimality(F, mu).value, 0.0, 1e-9)
