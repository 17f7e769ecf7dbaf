"""Remark 3.4 and section 4.3: steps and minima over all measures, to which their gap is zero."""

from __future__ import annotations

import jko.limits
from jko.diagnostics import minimiser
from jko.energies import Risk
from jko.measures import Particles
from jko.networks import Data
from jko.steps import FrankWolfe, step
from jko.survey.claims import Measurement, counterexample, identity, inequality
from jko.survey.instances import net

S2, GOAL, TAU = 0.8, 1.5, 2.0  # int x^2, f(x) = GOAL x, and the step


def _saddle() -> tuple[Risk, Particles]:
    """``h = theta x`` in d = 1 and the atom at 0, where the gradient of dF/dmu vanishes."""
    R = Risk(Data([[1.0]], [GOAL], [S2]), activation=lambda theta, x: theta @ x.T)
    return R, Particles([[0.0, 0.0]])


@identity(
    "Remark 3.4",
    r"the JKO step from $\delta_0$ with $h = \theta x$ has $A = \int w \theta\, d\mu = (a_* - 1/(s_2\tau))_+$ and the "
    r"value $\frac{s_2}{2}(A - a_*)^2 + A/\tau$: it leaves a saddle",
)
def leaves_the_saddle(quick: bool) -> Measurement:
    """The step's objective over all measures; s2 = .8, a* = 1.5, tau = 2."""
    F, mu = _saddle()
    A = max(GOAL - 1 / (S2 * TAU), 0.0)
    found = step(F, mu, tau=TAU, solver=FrankWolfe())
    return Measurement(found.objective, S2 * (A - GOAL) ** 2 / 2 + A / TAU, 1e-9)


@counterexample("Remark 3.4", "which the flow never does: it stays at the saddle for all times")
def flow_stays(quick: bool) -> Measurement:
    """What the energy of the flow at t = 50 is above that of one step of tau = 2."""
    F, mu = _saddle()
    rest = jko.limits.wasserstein(F, mu, t1=50.0).final
    found = step(F, mu, tau=TAU, solver=FrankWolfe())
    A = max(GOAL - 1 / (S2 * TAU), 0.0)
    return Measurement(float(F(rest)) - found.energy, S2 * (GOAL**2 - (A - GOAL) ** 2) / 2, 1e-6)


@inequality(
    "2.2.1, Remark 2.1",
    r"$F$ is convex, so that its minimum over all measures is found, and known to be: $F(\mu_*) - \min F = 0$",
)
def global_training(quick: bool) -> Measurement:
    """The gap of (4.10), proved, where atoms were added, moved and merged until it closed; relative to F."""
    example = net(8)
    found = minimiser(example.F, example.mu, solver=FrankWolfe(prove=True))
    assert found.certificate.rigorous
    return Measurement(found.gap / found.energy, 0.0, 1e-8)
