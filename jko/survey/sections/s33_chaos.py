"""Section 3.3: propagation of chaos, what dissipates along it, and the moment hierarchy."""

from __future__ import annotations

import numpy as np
import torch

import jko.limits
from jko.diagnostics import dissipation
from jko.energies import Potential, SquaredNorm
from jko.flows import flow
from jko.measures import ChargedDensity, Particles
from jko.spaces import Grid
from jko.survey.claims import (
    Curve,
    Measurement,
    Picture,
    counterexample,
    identity,
    inequality,
    limit,
)
from jko.survey.instances import STEP, about_half, net
from jko.survey.systems import SYSTEMS, charged, dissipates, line, on_cells, right_side


@identity(
    "(3.23)-(3.24)",
    r"propagation of chaos: $\partial_t H + w \cdot \nabla H = -(\bar L + \bar S + \partial_H \bar V)$, $w$ of "
    "(3.24)",
)
def chaos(quick: bool) -> Measurement:
    """See the formulas of the system, written out for this pair."""
    return right_side(jko.limits.chaos)


@identity(
    "(3.23)",
    r"$(\mathrm{id}, H)_\# \rho$ solves (3.7): the particles of (3.23) are those of the Wasserstein flow",
)
def same_particles(quick: bool) -> Measurement:
    """The label form of (3.23) against (3.7) on the lift: largest distance of an atom at t = 1.5."""
    example = line()
    labels = example.labels(48)
    a = charged(jko.limits.chaos(example.G, labels, t1=LATE, rtol=1e-10).final).lift()
    b = jko.limits.wasserstein(example.G, labels.pair.lift(), t1=LATE, rtol=1e-10).final
    return Measurement(float((a.points - b.support).abs().max()), 0.0, 1e-8)


LATE = 1.5


@limit(
    "(3.23)",
    "finite volumes of all three systems agree with their label form, at order 2 in the cells",
)
def cells(quick: bool) -> Measurement:
    """The worst of the three last pairwise orders of G(1.5) in the width of the cells."""
    example, counts = line(), [50, 100, 200] if quick else [100, 200, 400]
    curves, orders = [], []
    for system in SYSTEMS:
        exact = system(example.G, example.labels(), t1=LATE, rtol=1e-11).energies[-1]
        errors = [
            abs(
                float(
                    system(example.G, example.grid(n), t1=LATE, times=[LATE]).energies[-1] - exact
                )
            )
            for n in counts
        ]
        curves.append(Curve([6 / n for n in counts], errors, system.equation, "dots"))
        orders.append(float(np.log2(errors[-2] / errors[-1])))
    worst = max(orders, key=lambda order: abs(order - 2))
    picture = Picture(tuple(curves), "$\\Delta\\theta$", "error of $G(1.5)$", True, True)
    return Measurement(worst, 2.0, 0.15, picture=picture)


@inequality(
    "(3.25)", r"no flux: the mass stays in $\Theta$, also where characteristics run into a wall"
)
def walls(quick: bool) -> Measurement:
    """Change of the mass when Vbar pushes it outwards for a while."""
    example = line()
    run = jko.limits.chaos(
        example.risk + (-0.5) * SquaredNorm(), example.grid(60), t1=2.0, times=[2.0]
    )
    return Measurement(abs(float(run.final.mass) - 1), 0.0, 1e-12)


@identity(
    "Proposition 3.3",
    r"$\frac{dG}{dt} = -\int \left(|H \nabla N + \nabla_\theta \bar V|^2 + |N + \partial_H \bar V|^2\right) "
    r"d\rho$ along (3.23)",
)
def proposition(quick: bool) -> Measurement:
    """Along finite volumes, Vbar quadratic."""
    return dissipates(jko.limits.chaos, quick)


@identity(
    "Proposition 3.3",
    r"the same for $\bar V = \frac{1}{20} (H^4 + \theta^4) + \frac{1}{10} H \theta$, not quadratic",
)
def proposition_general(quick: bool) -> Measurement:
    """Along particles, by :func:`jko.diagnostics.dissipation` and central differences of G."""
    example = line()

    def V(xi: torch.Tensor) -> torch.Tensor:
        return (xi**4).sum(1) / 20 + xi[:, 0] * xi[:, 1] / 10

    G = example.risk + Potential(V)
    times = np.linspace(0, 1, 401)
    run = jko.limits.wasserstein(G, example.labels(48).pair, t1=1.0, rtol=1e-11, times=times)
    differences = (run.energies[2:] - run.energies[:-2]) / (times[2:] - times[:-2])
    formula = np.array([-dissipation(G, s) for s in run.states[1:-1]])
    return Measurement(float(np.abs(differences - formula).max()), 0.0, 1e-5)


@counterexample(
    "Proposition 3.3", '$G$ is non-increasing, not "decreasing": at a stationary pair it stays'
)
def not_strictly(quick: bool) -> Measurement:
    """dG/dt at the end of a long JKO flow: zero."""
    example = net(6)
    pair = flow(example.F, example.mu.project(), tau=50.0, steps=60).final
    return Measurement(dissipation(example.F, pair), 0.0, 1e-8)


def _spread() -> Particles:
    """A measure with several w at each theta."""
    generator = torch.Generator().manual_seed(7)
    return Particles(torch.randn(40, 2, generator=generator, dtype=torch.float64))


@identity(
    "Lemma 3.2, (3.26)-(3.29)",
    r"the moments $H_i$ of $w$ given $\theta$ obey the hierarchy (3.27), $i = 0, \dots, 3$",
)
def moments(quick: bool) -> Measurement:
    """d/dt int theta w^i dmu by central differences along (3.7), against the right side; worst over i."""
    example, worst = line(), 0.0
    before, now, after = about_half(example.G, _spread())
    for i in range(4):
        ahead, behind = (
            float(s.integrate(s.support[:, 1].sin() * s.support[:, 0] ** i))
            for s in (after, before)
        )
        formula = jko.limits.moment_rate(example.G, now, i, lambda theta: theta[:, 0].sin())
        worst = max(worst, abs((ahead - behind) / (2 * STEP) - formula))
    return Measurement(worst, 0.0, 1e-5)


@identity(
    "(3.28)", "number $i$ belongs to equation number $i - 1$: no moment flows through the walls"
)
def no_flux_of_moments(quick: bool) -> Measurement:
    """d/dt int w dmu along the hierarchy has no boundary term: the change of int rho H_1 to t = .5, against its ODE.

    Theta = [-1, 1], on which rho has most of its mass near the walls and Vbar pushes it there.
    """
    example = line()
    G = example.risk + (-0.5) * SquaredNorm()
    start = ChargedDensity.from_function(
        Grid((-1.0, 1.0), 100), lambda t: 1 + 4 * t[:, 0] ** 2, example.charge
    )
    times = np.linspace(0, 0.5, 41)
    moments = jko.limits.Moments.of_pair(start, k=2)
    run = jko.limits.hierarchy(G, moments, t1=0.5, times=times)
    totals = [float((s.values * s.H[0]).sum()) * s.grid.cell for s in run.states]
    rates = []
    for state in run.states:
        pair: ChargedDensity = state.pair
        rates.append(-float(pair.integrate(G.gradient(pair)[:, 0].reshape(pair.grid.shape))))
    return Measurement(totals[-1] - totals[0], float(np.trapezoid(rates, times)), 1e-4)


@identity("(3.30)-(3.31)", r"closed by $\nu = \delta_H$, the hierarchy for $i = 0, 1$ is (3.23)")
def closure(quick: bool) -> Measurement:
    """L1 distance of rho, at t = 1, from the finite volumes of (3.23), which do not share its form."""
    example, n = line(), 100 if quick else 400
    start = example.grid(n)
    a = jko.limits.hierarchy(example.G, start, t1=1.0, times=[1.0]).final
    b = on_cells(jko.limits.chaos(example.G, start, t1=1.0, times=[1.0]))[-1]
    return Measurement(float((a.values - b.values).abs().sum()) * start.grid.cell, 0.0, 0.2 / n)
