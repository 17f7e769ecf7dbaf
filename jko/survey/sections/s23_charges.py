"""Section 2.3: charged particles, the signed measure, and the pair (rho, H)."""

from __future__ import annotations

import numpy as np
import torch

from jko.energies import Potential, PowerNorm
from jko.measures import Particles
from jko.survey.claims import Measurement, identity
from jko.survey.instances import LAM, Net, net


def _stacked() -> tuple[Net, Particles]:
    """Ten places theta with three values of w at each, weights unequal."""
    example = net(10)
    theta = torch.from_numpy(example.points[:, 1:].repeat(3, axis=0))
    w = torch.randn(30, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    weights = torch.arange(1.0, 31.0, dtype=torch.float64)
    return example, Particles(torch.cat([w[:, None], theta], dim=1), weights / weights.sum())


@identity(
    "2.3",
    r"$f_\mu$ is the integral of $h$ against the signed measure $m = \left(\int w\, \nu_\theta(dw)\right) \rho$",
)
def signed_measure(quick: bool) -> Measurement:
    """f_mu of a measure with several w at each theta, against sum_j m_j h(theta_j, .)."""
    example, mu = _stacked()
    pair = mu.project()
    h = torch.tanh(pair.theta[:, :1] * example.risk.data.x[:, 0] + pair.theta[:, 1:])
    error = (pair.signed_measure() @ h - example.risk.predict(mu)).abs().max()
    return Measurement(float(error), 0.0, 1e-12)


@identity("(2.12)", r"$f_{\rho, H} = f_\mu$ where $H$ is the conditional mean of $w$")
def conditional_mean(quick: bool) -> Measurement:
    """The prediction of the pair against that of the measure, largest difference over the data."""
    example, mu = _stacked()
    error = (example.risk.predict(mu.project()) - example.risk.predict(mu)).abs().max()
    return Measurement(float(error), 0.0, 1e-12)


@identity(
    "2.3",
    r"Jensen: with (2.8), $F(\mu) - G(\rho, H) = \frac{\lambda}{2} \int \operatorname{Var}(w \mid \theta)\, d\rho "
    r"\ge 0$; and for $V = w^4$ too",
)
def jensen(quick: bool) -> Measurement:
    """The gain of the projection with both potentials against moments given theta, written out."""
    example, mu = _stacked()
    w, weights = (t.numpy().reshape(10, 3) for t in (mu.points[:, 0], mu.weights))
    mass = weights.sum(1)
    mean = (weights * w).sum(1) / mass
    variance = ((weights * (w - mean[:, None]) ** 2).sum(1) / mass) @ mass
    quartic = float((weights * w**4).sum() - mass @ mean**4)
    E = example.F + Potential(lambda xi: xi[:, 0] ** 4)
    gain = float(E(mu) - E(mu.project()))
    return Measurement(gain, LAM / 2 * float(variance) + quartic, 1e-12)


@identity(
    "(2.13)",
    r"$G(\rho, H) = F((\mathrm{id}, H)_\# \rho)$, here with $\bar V = \frac{\lambda}{2} (H^2 + |\theta|^2)$",
)
def lift(quick: bool) -> Measurement:
    """G of a pair against the formula written out in theta and H."""
    example = net(15)
    pair = example.mu.project()
    theta, H = pair.theta.numpy(), pair.H.numpy()
    x, f, q = example.data
    r = (H / 15) @ np.tanh(theta[:, :1] * x + theta[:, 1:]) - f
    G = 0.5 * q @ r**2 + LAM / 2 * (H**2 + (theta**2).sum(1)).mean()
    return Measurement(float(example.F(pair)), float(G), 1e-12)


@identity(
    "footnote 5, footnote 6",
    r"$\int |\xi|^p\, d\mu \ge \int |(H, \theta)|^p\, d\rho$, $p \ge 1$, with $H$ the mean of $\nu_\theta$",
)
def moments_of_order_p(quick: bool) -> Measurement:
    """What the right side lacks, over p = 1, 1.5, 2, 4 together, for three w at each of ten theta; and written out."""
    points = net(10).points.repeat(3, axis=0)
    points[:, 0] = np.random.default_rng(0).normal(size=30)
    m = np.arange(1.0, 31.0) / 465
    mu, orders = Particles(points, m), (1.0, 1.5, 2.0, 4.0)
    gaps = [float(PowerNorm(p)(mu) - PowerNorm(p)(mu.project())) for p in orders]
    whole = m.reshape(10, 3).sum(1)
    means = (m[:, None] * points).reshape(10, 3, 3).sum(1) / whole[:, None]
    lengths = np.linalg.norm(points, axis=1), np.linalg.norm(means, axis=1)
    exact = [m @ lengths[0] ** p - whole @ lengths[1] ** p for p in orders]
    return Measurement(sum(gaps) if min(gaps) >= 0 else np.nan, float(sum(exact)), 1e-12)
