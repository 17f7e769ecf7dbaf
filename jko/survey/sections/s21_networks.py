"""Section 2.1: networks, the measure of their neurons, the functional F, and its convexity."""

from __future__ import annotations

import numpy as np
import torch

from jko.diagnostics import mixture_slope
from jko.energies import Risk, SquaredNorm
from jko.measures import Particles, mixture
from jko.networks import Data, Ridge
from jko.survey.claims import Curve, Measurement, Picture, counterexample, erratum, identity
from jko.survey.instances import LAM, Net, central, features, loss, net, slopes


@identity("(2.1)", r"$f_N(x)$ is the mean of $w_i h(\theta_i, x)$ over the neurons")
def network(quick: bool) -> Measurement:
    """The prediction of an empirical measure against the sum, written out: largest difference over the data."""
    example = net(50)
    direct = features(example.points, example.data[0]).mean(0)
    error = np.abs(example.risk.predict(example.mu).numpy() - direct).max()
    return Measurement(float(error), 0.0, 1e-12)


@identity(
    "(2.2), footnote 1",
    r"$h(\theta, x) = \sigma(\theta' \cdot x + \theta^{(d)})$, with its slopes in $\theta$",
)
def ridge(quick: bool) -> Measurement:
    """The written-out slopes of sigmoid, tanh and a softplus against central differences."""
    theta = torch.randn(9, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.randn(7, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    worst = 0.0
    for sigma in (torch.sigmoid, torch.tanh, torch.nn.functional.softplus):
        h = Ridge(sigma)
        jacobian = h.jacobian(theta, x)
        for k, e in enumerate(1e-5 * torch.eye(3, dtype=torch.float64)):
            difference = (h(theta + e, x) - h(theta - e, x)) / 2e-5
            worst = max(worst, float((difference - jacobian[:, :, k]).abs().max()))
    return Measurement(worst, 0.0, 1e-8)


@identity(
    "(2.3)-(2.4)",
    r"gradient descent moves neuron $i$ by $-N \frac{\partial \ell}{\partial \xi_i} = -\nabla \frac{\delta "
    r"F}{\delta\mu}(\xi_i)$",
)
def descent(quick: bool) -> Measurement:
    """The velocity of (3.7) against central differences of the loss in every weight, times N."""
    example = net(8)
    return Measurement(_mismatch(example, 0.0, example.risk.gradient(example.mu)), 0.0, 1e-8)


def _mismatch(example: Net, lam: float, gradient: torch.Tensor) -> float:
    """Largest difference between N d F_N / d xi_i, by central differences in every weight, and a gradient."""
    N, weights = example.mu.N, np.full(example.mu.N, 1 / example.mu.N)
    found = central(lambda points: loss(points, weights, example.data, lam), example.points)
    return float(np.abs(N * found - gradient.numpy().ravel()).max())


@identity("footnote 2", "a stochastic gradient is, in the mean over the samples, the gradient")
def stochastic_gradient(quick: bool) -> Measurement:
    """The mean over all single data of the gradient of the risk of that datum, against that of the risk, by hand."""
    example = net(10)
    data = example.risk.data
    total = torch.zeros_like(example.mu.points)
    for m in range(data.M):
        one = Risk(
            Data(data.x[m : m + 1], data.f[m : m + 1], [data.M * float(data.weights[m])]),
            Ridge(torch.tanh),
        )
        # the sample's error uses the network's own value there, which depends on no other datum
        total += one.gradient(example.mu) / data.M
    whole = slopes(example.points, np.full(10, 0.1), example.data, 0.0)
    return Measurement(float(np.abs(total.numpy() - whole).max()), 0.0, 1e-12)


@identity(
    "(2.5)",
    r"$f_\mu = \int \Phi\, d\mu$ extends $f_N$ to all measures: merging equal neurons changes nothing",
)
def prediction(quick: bool) -> Measurement:
    """Neurons that are there twice, and one with double mass, both against the sum written out."""
    example = net(10)
    points = example.mu.points
    twice = Particles(torch.cat([points, points[:4]]), [1 / 14] * 14)
    once = Particles(points, [2 / 14] * 4 + [1 / 14] * 6)
    phi = features(points.numpy(), example.data[0])
    direct = torch.from_numpy((phi.sum(0) + phi[:4].sum(0)) / 14)
    error = max(float((example.risk.predict(mu) - direct).abs().max()) for mu in (twice, once))
    return Measurement(error, 0.0, 1e-14)


@identity(
    "(2.6)-(2.8)",
    r"$F(\mu) = \frac{1}{2} \int (f - f_\mu)^2\, dx + \int V\, d\mu$, here with (2.8)",
)
def functional(quick: bool) -> Measurement:
    """F of the library against the formula, with unequal weights."""
    example = net(15)
    weights = np.arange(1.0, 16.0) / 120
    mu = Particles(example.points, weights)
    return Measurement(
        float(example.F(mu)), loss(example.points, weights, example.data, LAM), 1e-12
    )


@counterexample(
    "after (2.8)", 'with $V$ the minimum "will not be zero anymore": it is zero for $f = 0$'
)
def minimum_zero(quick: bool) -> Measurement:
    """F at the Dirac mass in 0 for f = 0: no energy at all, though V = LAM |xi|^2 / 2."""
    example = net(1)
    data = Data(example.risk.data.x, 0 * example.risk.data.f, example.risk.data.weights)
    F = Risk(data, Ridge(torch.tanh)) + LAM * SquaredNorm()
    zero = Particles(torch.zeros(1, 3, dtype=torch.float64))
    return Measurement(float(F(zero)), 0.0, 1e-14)


@identity(
    "Remark 2.1",
    r"$F$ is convex along mixtures $(1 - \alpha) \mu_0 + \alpha \mu_1$: its second derivative is $\int (f_0 - "
    r"f_1)^2\, dx$",
)
def convexity(quick: bool) -> Measurement:
    """F at 21 mixtures of two networks: the second difference, of a parabola exact, against f_0 - f_1 written out."""
    example, a, b = net(20), net(20, seed=1).mu, net(30, seed=2).mu
    grid = np.linspace(0, 1, 21)
    values = [float(example.F(mixture(a, b, s))) for s in grid]
    chord = (1 - grid) * values[0] + grid * values[-1]
    x, _, q = example.data
    apart = features(a.points.numpy(), x).mean(0) - features(b.points.numpy(), x).mean(0)
    picture = Picture(
        (Curve(grid, values, "$F$", "dots"), Curve(grid, chord, "chord", "dashed")),
        "$\\alpha$",
        "$F((1 - \\alpha)\\mu_0 + \\alpha\\mu_1)$",
    )
    second = np.diff(values, 2) / grid[1] ** 2
    worst = second[np.abs(second - q @ apart**2).argmax()]
    return Measurement(float(worst), float(q @ apart**2), 1e-10, picture=picture)


@identity(
    "footnote 4", r"the formula for $\frac{d}{d\alpha} F(\mu_\alpha)$ between $\mu_0$ and $\mu_1$"
)
def mixture_derivative(quick: bool) -> Measurement:
    """``int (dF/dmu)(mu_alpha) d(mu_1 - mu_0)`` at alpha = .3 against the footnote's formula, written out."""
    example, b = net(20), net(30, seed=2).mu
    a, s, data = example.mu, 0.3, example.risk.data
    f, q = data.f, data.weights
    f0, f1 = example.risk.predict(a), example.risk.predict(b)
    V = LAM * (SquaredNorm()(a) - SquaredNorm()(b))
    formula = (
        s * (q * (f - f1) ** 2).sum()
        - (1 - s) * (q * (f - f0) ** 2).sum()
        + (1 - 2 * s) * (q * (f - f0) * (f - f1)).sum()
        - V
    )
    return Measurement(mixture_slope(example.F, a, b, s), float(formula), 1e-12)


@erratum(
    "(2.9)-(2.11)",
    r"the potential enters $F_N$ as its mean $\frac{1}{N} \sum_i V(\xi_i)$, not as the sum: else (2.4) is not "
    "(3.7)",
)
def mean_of_the_potential(quick: bool) -> Measurement:
    """Largest difference between -N dF_N/dxi_i and -grad dF/dmu(xi_i), F_N with the mean; as printed, with the sum."""
    example = net(8)
    right = example.F.gradient(example.mu)
    as_printed = _mismatch(example, example.mu.N * LAM, right)
    return Measurement(_mismatch(example, LAM, right), 0.0, 1e-8, printed=as_printed)
