"""Section 5.1: how fast flows come to rest, in examples."""

from __future__ import annotations

import math

import numpy as np

import jko.limits
from jko import exact
from jko.diagnostics import decay, decomposition, dissipation, minimiser
from jko.energies import Entropy
from jko.survey.claims import Curve, Measurement, Picture, experiment, identity
from jko.survey.instances import LAM, Array, central, net, slopes
from jko.survey.regularised import bumpy, network, plane


@experiment(
    "5.1 (iii)",
    r"with a porous medium on the line and $V = \frac{1}{2} x^2$ the decay is exponential, rate 6",
)
def porous_decay(quick: bool) -> Measurement:
    """The fitted rate of F - F_* along Barenblatt's solution of (4.7); R^3 tends to its limit like e^{-3t}."""
    times = np.linspace(0, 3, 61)
    radii = exact.barenblatt_flow(1.0, m=2, d=1, c=1.0, a=1.0, t=times)
    rest = exact.barenblatt_rest(m=2, d=1, c=1.0, a=1.0)
    gaps = exact.barenblatt_energy(radii, m=2, d=1, c=1.0, a=1.0) - float(
        exact.barenblatt_energy(rest, m=2, d=1, c=1.0, a=1.0)
    )
    found = decay(times, gaps, since=1.0, floor=1e-14)
    picture = Picture(
        (Curve(times, gaps, f"rate {found.rate:.3g}"),), "$t$", "$F(\\mu_t) - F_*$", logy=True
    )
    return Measurement(found.rate, 6.0, 0.02, picture=picture)


@experiment("5.1", "without regularisation a small network comes to rest exponentially too")
def rate_of_atoms(quick: bool) -> Measurement:
    """The rate at which the dissipation of ten neurons with V = LAM |xi|^2/2 decays, fitted late.

    Expected: twice the least eigenvalue of the derivative, by differences, of the velocities at rest, written out.
    """
    example, T = net(10), 600.0
    run = jko.limits.wasserstein(
        example.F, example.mu, t1=T, rtol=1e-10, times=np.linspace(0, T, 61)
    )
    speeds = [dissipation(example.F, state) for state in run.states]
    found = decay(run.times, speeds, since=0.4 * T, floor=1e-18)
    picture = Picture(
        (Curve(run.times, speeds, str(found)[:46], "line"),), "$t$", "dissipation", logy=True
    )
    rest = run.final.support.numpy()

    def force(points: Array) -> Array:
        return slopes(points, np.full(10, 0.1), example.data, LAM).ravel()

    expected = 2 * float(np.linalg.eigvals(central(force, rest)).real.min())
    rate = found.rate if found.is_exponential else math.nan
    return Measurement(rate, expected, 0.02 * expected, picture=picture)


@identity(
    "footnote 13",
    r"$\int \frac{\delta F}{\delta\mu}\, d(\mu - \mu_*) = F(\mu) - F_* + \frac{1}{2} |f_\mu - f_*|^2 + \tau "
    r"\operatorname{KL}(\mu_*, \mu)$",
)
def proximal_identity(quick: bool) -> Measurement:
    """Both sides at a measure with random masses on a grid: the natural script F of the footnote is KL(mu_*, mu)."""
    F, grid = network(0.05, Entropy()), plane(quick)
    star, mu = minimiser(F, grid).state, bumpy(grid)
    there = decomposition(F, star, mu)  # mu and mu_* change places
    left = -there.slope
    return Measurement(left, float(F(mu) - F(star)) + there.risk + there.internal, 1e-10)
