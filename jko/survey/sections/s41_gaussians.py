"""Section 4.1, in any dimension: normal laws under entropy and a quadratic potential stay normal."""

from __future__ import annotations

import numpy as np
import torch

from jko import exact, limits
from jko.diagnostics import Convergence
from jko.energies import Energy, Entropy, Potential
from jko.flows import flow
from jko.measures import Gaussian
from jko.metrics import distance
from jko.schemes import SDIRK2, Implicit
from jko.survey.claims import Curve, Measurement, Picture, identity, limit

DIM, BETA, T1 = 6, 0.7, 0.9


def _matrix(seed: int) -> np.ndarray:
    """Symmetric and positive definite; two of them do not commute."""
    M = np.random.default_rng(seed).standard_normal((DIM, DIM))
    return M @ M.T / DIM + 0.3 * np.eye(DIM)


A, START = _matrix(1), Gaussian(np.ones(DIM), _matrix(2))


def _energy() -> Energy:
    a = torch.from_numpy(A)
    return Potential(lambda x: 0.5 * (x @ a * x).sum(-1)) + BETA * Entropy()


def _flow() -> Gaussian:
    law = exact.gaussian_flow(START.m, START.S, A=A, beta=BETA, t=T1)
    return Gaussian(law.mean, law.covariance)


@identity(
    "(4.2)",
    r"for $V = \frac{1}{2} x \cdot A x$ normal laws stay normal under $\partial_t \mu = \nabla \cdot (\mu A x) + \tau "
    r"\Delta \mu$: $m' = -A m$, $S' = 2 \tau I - A S - S A$, in six dimensions",
)
def gaussian_closure(quick: bool) -> Measurement:
    """The Bures distance at t = 0.9 between the flow of means and covariances, integrated, and the closed form."""
    run = limits.wasserstein(_energy(), START, t1=T1)
    return Measurement(float(distance(run.final, _flow())), 0.0, 1e-7)


@identity(
    "(4.1)-(4.2)",
    r"a JKO step keeps a normal law normal: $S_k = T S T$, $T = I + h (A - \tau S^{-1})$, also where $A$ and $S_k$ do "
    r"not commute",
)
def gaussian_step(quick: bool) -> Measurement:
    """Largest difference between the covariance of a step among normal laws and the closed form, over six steps."""
    run, law = (
        flow(_energy(), START, tau=0.05, steps=6),
        exact.NormalLaw(START.m.numpy(), START.S.numpy()),
    )
    worst = 0.0
    for state in run.states[1:]:
        law = exact.gaussian_step(law.mean, law.covariance, A=A, beta=BETA, tau=0.05)
        worst = max(worst, float(np.abs(state.covariance().numpy() - law.covariance).max()))
    return Measurement(worst, 0.0, 1e-8)


@limit(
    "(4.2)",
    r"in six dimensions the JKO scheme of normal laws has order 1 in the time step, two stages of it order 2",
)
def gaussian_order(quick: bool) -> Measurement:
    """Order of the Bures distance at t = 0.9 to the exact flow, with the two-stage scheme."""
    taus = np.array([0.3, 0.15, 0.075])
    end, E = _flow(), _energy()
    errors = {
        name: np.array(
            [float(distance(flow(E, START, tau=tau, t1=T1, scheme=s).final, end)) for tau in taus]
        )
        for name, s in (("one stage", Implicit()), ("two stages", SDIRK2()))
    }
    curves = tuple(Curve(taus, rows, name, "dots") for name, rows in errors.items())
    picture = Picture(curves, "time step", "Bures distance to the flow", logx=True, logy=True)
    order = float(Convergence(taus, errors["two stages"]).orders[-1])
    return Measurement(order, 2.0, 0.15, picture=picture)
