"""(3.19) on atoms of Theta, in any dimension: H stays in the span of H_0 and the features, so no derivative of data.

With ``H = alpha H_0 - sum_m b_m h(., x_m)`` and a potential ``lam/2 H^2 + U(theta)``, the equation
``d_t H = -(N + lam H)`` on all of Theta, where ``N = sum_m q_m r_m h(., x_m)``, is ``alpha' = -lam alpha`` and
``b' = -lam b + q r``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.derivatives import Differentiable, gradient
from jko.energies import Energy, OnTheta, Risk, SquaredNorm, refuse, sorted_terms
from jko.limits.course import Array, Times, kept_times, tolerance, travelled
from jko.limits.integration import EVALUATIONS, integrate
from jko.limits.walls import tangent
from jko.measures import ChargedSpan, Particles
from jko.networks import feature_map
from jko.trajectory import Trajectory

BLOCK = 2**17  # feature values at a time
CURVED = (
    "the loss of the {name} is not the squared one, so it is not quadratic in H and the equations do not close; take "
    "particles, or a jko.ChargedDensity with jko.limits.separated"
)
SEVERAL = (
    "the {name} has several outputs, and here H is a number; take jko.Particles with points (w_1 ... w_k, theta), or a "
    "risk for each column of f"
)


def integrate_span(
    energy: Energy,
    start: ChargedSpan,
    t1: float,
    times: Times | None,
    rtol: float,
    evaluations: int = EVALUATIONS,
) -> Trajectory:
    """Solve (3.19): ``theta_i' = -grad [theta -> phi(H(theta), theta)](theta_i)``, with (alpha, b) beside it.

    Parameters
    ----------
    energy : Energy
        A sum of multiples of :class:`Risk` with the activation and the inputs of the span, :class:`SquaredNorm`, and
        :class:`OnTheta` of any smooth energy.
    start : ChargedSpan
        Over :class:`Particles`.

    Raises
    ------
    TypeError
        rho is no cloud of atoms.
    ValueError
        Another energy: its d_H V is not linear in H, so that H leaves the span.  Times out of order or range; a
        tolerance below rounding.
    LimitStopped
        If the integrator fails, or its evaluations are used up.

    Notes
    -----
    With a domain of Theta the velocity is projected on its tangent cone, (3.11): atoms slide along walls.
    """
    checks.kind(
        "rho",
        start.rho,
        Particles,
        hint="the equation for (alpha, b) moves atoms; densities go by jko.ChargedDensity",
    )
    t1 = checks.number("t1", t1, above=0)
    wanted = None if times is None else kept_times(times, t1)
    rtol = tolerance(rtol, start.support)
    lam, risks = quadratic(energy, start)
    N, d = start.support.shape
    like = start.support

    def state(t: float, y: Array) -> ChargedSpan:
        theta = torch.from_numpy(y[: N * d].reshape(N, d).copy()).to(like)
        theta = theta if start.domain is None else start.domain.project(theta)
        rho = Particles.of(theta, start.weights, start.domain)
        b = torch.from_numpy(y[N * d :].copy()).to(like)
        return start.with_rho(rho).with_H(start.alpha * float(np.exp(-lam * t)), b)

    def rates(t: float, y: Array) -> Array:
        pair = state(t, y)
        atoms = pair.atoms
        slope = energy.gradient(atoms)
        p, along = slope[:, :1], slope[:, 1:]
        force = sum((c * E.prices(atoms) for c, E in risks), torch.zeros_like(pair.b))
        velocity = tangent(pair.domain, pair.support, -(p * charge_gradient(pair) + along))
        return torch.cat([velocity.reshape(-1), force - lam * pair.b]).cpu().numpy()

    flat = torch.cat([start.support.reshape(-1), start.b]).cpu().numpy().astype(np.float64)
    solution = integrate(
        rates,
        flat,
        t1,
        rtol,
        wanted,
        evaluations=evaluations,
        rounding=torch.finfo(like.dtype).eps,
        autonomous=lam == 0 or not start.alpha,
    )
    return travelled(energy, start, solution, state)


def quadratic(energy: Energy, span: ChargedSpan) -> tuple[float, list[tuple[float, Risk]]]:
    """Read an energy as ``sum_j c_j R_j + lam/2 int |xi|^2 + E(theta-marginal)``: lam, and the pairs (c_j, R_j).

    Raises
    ------
    ValueError
        Other terms; risks without an activation, or with another activation or other inputs than the span's.
    """
    terms = sorted_terms(energy)
    refuse(terms.curved, CURVED)
    refuse([(c, R) for c, R in terms.risks if R.data.k > 1], SEVERAL)
    refuse(
        terms.without(SquaredNorm, Risk, OnTheta),
        "the term {energy} is not quadratic in H, so the equations do not close; allowed are sums of multiples "
        "of jko.Risk, jko.SquaredNorm and jko.energies.OnTheta(energy). For others use jko.limits.separated from a "
        "jko.ChargedDensity, jko.limits.Labels, or particles",
    )
    return terms.lam, [(c, _fitting(E, span)) for c, E in terms.risks]


def with_activation(risk: Risk) -> Risk:
    """The risk, unless its features are no w h(theta, x)."""
    if risk.activation is None:
        raise ValueError(
            "the risk has general features Phi(xi, x); here they must be w h(theta, x): Risk(data, activation=h)"
        )
    return risk


def _fitting(risk: Risk, span: ChargedSpan) -> Risk:
    with_activation(risk)
    same = torch.equal(risk.data.x, span.x.to(risk.data.x))
    if not (same and risk.activation == feature_map("h", span.h)):
        what = "inputs are" if not same else "activation is"
        raise ValueError(
            f"the risk's {what} not the span's, so H leaves the span; build it by "
            "jko.ChargedSpan(rho, H0, risk.activation, risk.data.x)"
        )
    return risk


def charge_gradient(pair: ChargedSpan) -> Tensor:
    """grad H at the atoms, (N, d)."""
    H0, h = Differentiable("the function H0", pair.H0), feature_map("h", pair.h)
    first = gradient("the function H0", H0, pair.support)[1]
    blocks = pair.support.split(max(1, BLOCK // len(pair.x)))
    rest = torch.cat([h.linearise(part, pair.x)[1](pair.b)[1] for part in blocks])
    return pair.alpha * first - rest
