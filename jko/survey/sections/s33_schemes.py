"""Remark 3.4, "a scheme a la JKO": schemes of second order made of steps in D, and what they cannot raise."""

from __future__ import annotations

import numpy as np

import jko.limits
from jko.diagnostics.convergence import convergence
from jko.energies import SquaredNorm
from jko.flows import flow
from jko.measures import ChargedParticles
from jko.schemes import BDF2, ZEG
from jko.steps import BlockNewton
from jko.survey.claims import Measurement, counterexample, inequality, limit
from jko.survey.instances import power_law
from jko.survey.systems import line

EXACTLY = BlockNewton(tol=1e-11)


@limit(
    "Remark 3.4",
    r"JKO steps in $D$ from base points beyond the last pair (BDF2) converge to (3.23) at order 2 in $\tau$",
)
def second_order(quick: bool) -> Measurement:
    """The last pairwise order of the L2 error of (theta, H) at t = 1.5, one solve a step."""
    example = line()
    labels = example.labels(48)
    end = jko.limits.chaos(example.G, labels, t1=1.5, rtol=1e-11).final
    study = convergence(
        lambda tau: (
            flow(example.G, labels.pair, tau=tau, t1=1.5, solver=EXACTLY, scheme=BDF2()).final
        ),
        end,
        parameters=[1.5 / K for K in ((16, 32, 64) if quick else (16, 32, 64, 128))],
    )
    names = "BDF2 in $D$", "order 2", "time step $\\tau$", "error at $t = 1.5$"
    picture = power_law(study.parameters, study.errors, 2.0, names)
    return Measurement(float(study.orders[-1]), 2.0, 0.1, picture=picture)


@inequality(
    "Remark 3.4",
    r"three of them (ZEG) never raise $G$, BDF2 not $G + \frac{2}{5\tau} |X_k - X_{k-1}|^2$, at any $\tau$",
)
def never_rises(quick: bool) -> Measurement:
    """The largest rise in a step, of flows with tau = .1, 1 and 10, on a saddle, and at rest: there it is zero."""
    example, rises = line(), list[float]()
    pair, rest = example.labels(32).pair, ChargedParticles([[0.0]], [0.0])
    for tau in (0.1, 1.0, 10.0):
        for energy, start in (
            (example.G, pair),
            (-(0.4 / tau) * SquaredNorm(), pair),
            (SquaredNorm(), rest),
        ):
            run = flow(energy, start, tau=tau, steps=4, solver=EXACTLY, scheme=ZEG())
            rises.append(float(np.diff(run.energies).max()))
            run = flow(energy, start, tau=tau, steps=4, solver=EXACTLY, scheme=BDF2())
            rises.append(float(np.diff(run.columns["modified"]).max()))
    return Measurement(max(rises), 0.0, 1e-12)


@counterexample("Remark 3.4", r"with BDF2 the energy itself may rise, though it is convex")
def overshoot(quick: bool) -> Measurement:
    """G = 3 |xi|^2 / 2, tau = 1, from H = 1: H = 1/4, 0, -1/36, so the last step raises it by 1/864."""
    pair = ChargedParticles([[0.0]], [1.0])
    run = flow(3 * SquaredNorm(), pair, tau=1.0, steps=3, solver=EXACTLY, scheme=BDF2())
    return Measurement(float(np.diff(run.energies).max()), 1 / 864, 1e-9)
