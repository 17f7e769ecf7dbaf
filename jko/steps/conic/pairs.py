"""The static form on a pair (rho, H): convex in the plan and its moments together.

With candidates theta_i and the plan gamma, let ``p_ij = gamma_ij H_ij``, H_ij the charge that mass from j has at i:

``min over gamma >= 0, p  1/2 |A p 1 - b|^2 + lam/2 sum_ij (gamma_ij |theta_i|^2 + p_ij^2 / gamma_ij)
+ sum_ij [gamma_ij |theta_i - theta_j|^2 + (p_ij - H_j gamma_ij)^2 / gamma_ij] / (2 tau)``

It is the step of the measure ``sum_ij gamma_ij delta_(H_ij, theta_i)`` on R x Theta, free to hold several charges at
one theta: a relaxation of that of (rho, H), tight if ``H_ij`` does not depend on j.  The pair handed back has their
mean, ``H_i = sum_j p_ij / rho_i``; ``variance`` says how far the relaxation was from a graph, ``gap`` what the mean
costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cvxpy as cp
import numpy as np
import torch
from numpy.typing import NDArray

from jko import checks
from jko.energies import Energy, Linear, Risk, SquaredNorm, joined, negative, refuse, sorted_terms
from jko.measures import ChargedParticles, Particles
from jko.metrics import as_array
from jko.metrics.couplings import all_costs
from jko.status import Status
from jko.steps.conic.bounds import risk_part
from jko.steps.conic.form import ConicForm, Reading, exact_coupling, quadratic_over
from jko.steps.conic.plan import CUT, STAYED, drifts, feasible
from jko.steps.conic.terms import ConeTerms
from jko.steps.problem import StepProblem

Array = NDArray[np.float64]

FLAT = 1e-6  # of the second moment of H: a smaller conditional variance is none


@dataclass(frozen=True, eq=False)
class PairForm(ConicForm):
    """The program: ``shares[i, j]`` of atom j goes to theta_i, and has there ``shares[i, j] H_j + lifts[i, j]`` charge.

    ``moments`` (n,) are the masses of H rho, affine in the variables.
    """

    shares: Any
    lifts: Any
    columns: Any
    moments: Any
    terms: ConeTerms
    ridge: float
    base_costs: Array
    source: ChargedParticles

    names: ClassVar[tuple[str, ...]] = ("value", "bound", "gap", "stayed", "variance")

    @classmethod
    def of(cls, step: StepProblem, candidates: Array) -> PairForm:
        """The program with new atoms of rho among ``candidates`` (n, d)."""
        source = checks.kind("the state", step.previous, ChargedParticles)
        ridge, terms = _sorted(step.energy, candidates)
        m, H, tau = as_array(source.weights), as_array(source.H), step.tau
        base_costs = all_costs(candidates, as_array(source.theta)) / (2 * tau)
        shape = base_costs.shape
        shares = cp.Variable(shape, name="shares", nonneg=True)
        lifts = cp.Variable(shape, name="lifts")
        square, cones = quadratic_over(cp.vec(lifts, order="F"), cp.vec(shares, order="F"))
        moments = shares @ (m * H) + lifts @ m
        columns = cp.sum(shares, axis=0) == 1
        half = 0.5 * ridge * ((candidates**2).sum(1)[:, None] + H**2)
        objective = (
            terms.constant
            + cp.sum(cp.multiply((base_costs + half) * m, shares))
            + ridge * cp.sum(cp.multiply(np.broadcast_to(m * H, shape), lifts))
            + (0.5 / tau + 0.5 * ridge) * (np.repeat(m, shape[0]) @ square)
        )
        if len(terms.targets):
            objective += 0.5 * cp.sum_squares(terms.features @ moments - terms.targets)
        program = cp.Problem(cp.Minimize(objective), [columns, *cones])
        return cls(
            step, candidates, 1.0, shares @ m, program,
            shares, lifts, columns, moments, terms, ridge, base_costs, source,
        )  # fmt: skip

    def answer(self, value: float) -> Reading:
        """The projected pair, and how far from a graph the relaxation was."""
        m, H = as_array(self.source.weights), as_array(self.source.H)
        raw = np.asarray(self.shares.value)
        plan, moved = feasible(raw * m, m, CUT)
        charges = np.where(plan > 0, H + np.asarray(self.lifts.value) / np.maximum(raw, CUT), 0.0)
        rho = plan.sum(1)
        full = rho > 0
        mean = (plan * charges).sum(1) / np.where(full, rho, 1.0)
        variance = float((plan * (charges - mean[:, None]) ** 2).sum())
        bound = self._bound(self.terms.residual(rho * mean), m, H)
        state, (cost, coupling) = self._projected(rho[full], mean, full)
        stayed = float(plan[self.base_costs.argmin(0), np.arange(len(m))].sum())
        is_graph = variance <= FLAT * float((plan * charges**2).sum())
        slope = self.step.energy.gradient(state)[:, 1:]
        locked = stayed >= STAYED and drifts(self, state, state.theta, slope)
        bad = Status.LOCKED if locked else None if is_graph else Status.NOT_A_GRAPH
        return Reading(
            state=state,
            cost=cost,
            coupling=coupling,
            corrected=moved,
            value=value,
            bound=bound,
            figures={"stayed": stayed, "variance": variance},
            status=bad,
        )

    def _projected(self, rho: Array, mean: Array, full: NDArray[np.bool_]) -> tuple[Any, Any]:
        """The pair (rho, mean of H), and D to the base point by an exact plan."""
        source, lift = self.source, self.step.base
        like = source.theta
        theta, H = self.positions[full], mean[full]
        tensors = [torch.from_numpy(a).to(like) for a in (theta, H, rho)]
        state = ChargedParticles(tensors[0], tensors[1], tensors[2], source.domain)
        atoms = np.concatenate([H[:, None], theta], axis=1)
        return state, exact_coupling(atoms, rho, as_array(lift.points), as_array(lift.weights))

    def _bound(self, lam: Array, m: Array, H: Array) -> float:
        """``sum_j m_j min over theta_i, w of phi(w, theta_i) + |(w, theta_i) - (H_j, theta_j)|^2 / (2 tau)``."""
        tau, k = self.step.tau, self.ridge + 1 / self.step.tau
        slope = (lam @ self.terms.features)[:, None]
        over_w = H**2 / (2 * tau) - (H / tau - slope) ** 2 / (2 * k)
        theta = 0.5 * self.ridge * (self.positions**2).sum(1)[:, None]
        return risk_part(self.terms, lam) + float(m @ (self.base_costs + theta + over_w).min(0))


def _sorted(energy: Energy, theta: Array) -> tuple[float, ConeTerms]:
    """lam of the squared norm, and the risks as features h(theta_i, .) of the moments.

    Raises
    ------
    TypeError
        A term that is neither a risk with activation h(theta, x) nor the squared norm.
    ValueError
        A negative coefficient.
    """
    terms = sorted_terms(energy)
    refuse(
        negative(terms.all),
        "{name} has the coefficient {c:g}; in (rho, H) a conic program needs all of them positive",
    )
    refuse(
        terms.curved,
        "the loss of the {name} is not the squared one, whose static form alone is written as a cone here: use "
        "jko.LBFGS(), which knows every loss",
        TypeError,
    )
    general = [(c, R) for c, R in terms.risks if R.activation is None]
    potentials = [(c, V) for c, V in terms.linear if not isinstance(V, SquaredNorm)]
    for others, name in (
        (potentials, "a Potential"),
        ([*general, *terms.without(Risk, Linear)], "{name}"),
    ):
        refuse(
            others,
            f"on a pair (rho, H) Conic knows Risk(data, activation=h) and SquaredNorm, not {name}: its dependence on H "
            "cannot be written as a cone. Use the .lift() with support=..., or jko.LBFGS()",
            TypeError,
        )
    points = torch.from_numpy(np.concatenate([np.ones((len(theta), 1)), theta], axis=1))
    everywhere = Particles(points)  # w = 1: Phi = w h(theta, x) is then h(theta, x)
    return terms.lam, ConeTerms.of(joined(terms.risks) or 0.0 * SquaredNorm(), everywhere)
