"""``Sinkhorn``: the entropic JKO step on a fixed support, by scaling.

``minimise over gamma >= 0 with second marginal mu_k:
E(gamma 1) + (<c, gamma> + epsilon KL(gamma | vol x mu_k)) / (2 tau)``,  ``c = |x - y|^2``
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from jko import checks
from jko.duality import Gap
from jko.energies import Energy
from jko.measures import Particles, State
from jko.metrics import ENTROPIC, natural_metric
from jko.metrics.entropic.kernel import TINY
from jko.shown import Shown
from jko.status import Status
from jko.steps.problem import StepProblem
from jko.steps.result import Falls, StepResult
from jko.steps.sinkhorn.passes import ITSELF, EntropicPlan, Itself, Support, minimise

DIAGONAL = 0.9  # weight of the diagonal in a kernel's row beyond which it moves no mass by itself
FLAT = 4.0  # epsilon over the squared diameter beyond which the plan hardly knows of distances
HALF = 0.5  # of the energy that the gradient would release: less has been released if it is locked
STILL = 1e-4  # of the spacing: a shorter way asked for is none


@dataclass(frozen=True, eq=False)
class Sinkhorn(Shown):
    """The entropic step on a fixed support: points stay, masses change.

    ``minimise over gamma >= 0 with second marginal mu_k:
    E(gamma 1) + (<c, gamma> + epsilon KL(gamma | vol x mu_k)) / (2 tau)``, c = |x - y|^2.

    Parameters
    ----------
    epsilon
        A squared length: the kernel is ``exp(-|x - y|^2 / epsilon)`` and blurs by ``sqrt(epsilon / 2)`` along each
        axis.  ``epsilon = tau`` is a first try; far below the squared spacing of the support the kernel is diagonal.
    volumes
        For particles: the volume that each atom stands for, (N,), or a function of the points that gives it; default
        1/N each.  Internal energies are ``sum_i v_i U(m_i / v_i)``, so that Entropy is ``sum_i m_i log(m_i / v_i)``.
    debiased
        Minimise ``E(mu) + S(mu, mu_k) / (2 tau)`` instead, S the Sinkhorn divergence: the blur cancels to first
        order, the energy cannot rise, and ``cost`` is S.  Takes several times the work.
    tol
        L1 distance of the plan's second marginal to mu_k (and of the last two passes, where terms are linearised).
    max_iterations
        Newton iterations at the final epsilon.

    Raises
    ------
    ValueError
        epsilon <= 0; volumes that are not positive, or given for a grid.
    TypeError
        A state other than :class:`jko.GridDensity` and :class:`jko.Particles`.

    Notes
    -----
    Sources: Peyre (2015); Chizat, Peyre, Schmitzer and Vialard (2018) for the proximal maps; on weighted clouds Caluya
    and Halder (2020).  The dual in the second scaling is maximised by Newton's method, whose products are pairs of
    kernel applications; a plain scaling iteration is the fallback.  Densities below e^-40 of the largest (on
    particles, e^-650) count as empty; atoms that end empty, or lie where the potential is +inf, are left out of the
    new state, and ``figures["emptied"]`` counts them.

    ``cost`` is ``<c, gamma>`` of the plan, so that ``slack`` may be negative: the blur costs ``epsilon d / 2`` or so.
    What holds is that E(mu_{k+1}) is at most E of the blurred mu_k; status ENERGY_ROSE says that it does not.
    ``figures`` has the debiased cost and objective whichever of the two is minimised; ``mobility``: the energy that was
    released, over what ``tau |grad dE/dmu|^2`` asks for.  Where the kernel is diagonal and less than half of that was
    released, the status is LOCKED.  ``certificate()`` is the gap of the entropic problem.

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((-6.0, 6.0), 120)
    >>> rho = jko.GridDensity.from_function(grid, lambda x: (-(x**2).sum(-1) / 2).exp())
    >>> result = jko.step(
    ...     jko.Entropy() + jko.SquaredNorm(), rho, tau=0.1, solver=jko.Sinkhorn(0.1, debiased=True)
    ... )
    >>> (
    ...     result.status.name,
    ...     round(float(result.state.covariance()), 4),
    ... )  # the normal law is stationary
    ('CONVERGED', 1.0)
    """

    _bare = 1
    epsilon: float
    volumes: Tensor | Callable[[Tensor], Any] | None = None
    debiased: bool = False
    tol: float = 1e-6
    max_iterations: int = 200
    seams: ClassVar = True

    def __init__(
        self,
        epsilon: float,
        volumes: Any = None,
        *,
        debiased: bool = False,
        tol: float = 1e-6,
        max_iterations: int = 200,
    ) -> None:
        checks.kind("debiased", debiased, bool)
        try:
            epsilon = checks.number("epsilon", epsilon, above=0)
        except ValueError as error:
            raise ValueError(
                f"{error}; it is a squared length: the kernel exp(-|x - y|^2 / epsilon) spreads mass over "
                "sqrt(epsilon / 2)"
            ) from None
        if not (volumes is None or callable(volumes)):
            volumes = checks.shape("volumes", checks.unrecorded("volumes", volumes), ("N",))
        fields = (
            ("epsilon", epsilon),
            ("volumes", volumes),
            ("debiased", debiased),
            ("tol", checks.number("tol", tol, above=0, below=1)),
            ("max_iterations", checks.count("max_iterations", max_iterations)),
        )
        for name, value in fields:
            object.__setattr__(self, name, value)

    def solve(self, problem: StepProblem) -> StepResult:
        """Solve the entropic problem of one step."""
        support = Support.of(problem, self.epsilon, self.volumes)
        before = support.parts.value(support.masses)
        found = minimise(support, _guess(support), self.tol, self.max_iterations, self.debiased)
        energy = support.parts.value(found.masses / found.masses.sum())
        return self._result(support, found, Report.of(support, found, energy, before), before)

    def value(self, energy: Energy, state: State) -> float:
        """E(state) as the step sees it: on particles with their volumes, so that internal energies have a value."""
        problem = StepProblem(energy, natural_metric(state), state, 1.0)
        support = Support.of(problem, self.epsilon, self.volumes)
        return support.parts.value(support.masses)

    def _result(
        self, support: Support, found: EntropicPlan, seen: Report, before: float
    ) -> StepResult:
        problem = support.problem
        cost = seen.debiased if self.debiased else seen.plan_cost
        own = seen.itself.log
        if isinstance(problem.previous, Particles):
            own = own[found.masses > 0]
        return StepResult.of(
            problem,
            support.state(found.masses / found.masses.sum()),
            energy=seen.energy,
            cost=cost,
            before=before,
            residual=found.residual,
            iterations=found.iterations,
            evaluations=found.applications,
            status=seen.status(found, self.tol),
            coupling=ENTROPIC,
            memory={"self_scaling": own},
            figures=seen.figures(found),
            gap=_gap(seen, seen.energy + cost / (2 * problem.tau)),
            falls=Falls.NEITHER,
        )


@dataclass(frozen=True, eq=False)
class Report:
    """What a step reports beside its state: epsilon's blur, the value without bias, whether mass could move at all.

    Attributes
    ----------
    plan_cost
        ``<c, gamma>``.
    debiased
        Sinkhorn divergence of mu_{k+1} and mu_k, an estimate of W2^2.
    way
        Root mean square of ``tau |grad dE/dmu|``, by differences on the support.
    mobility
        Energy released to first order, ``<dE/dmu, blurred mu_k - mu_{k+1}>``, over ``way^2 / tau``: near 1 where mass
        moves freely, near 0 where the support holds it.
    ceiling
        E of the blurred mu_k, which no entropic step exceeds (of mu_k itself for a debiased one).
    gap
        Value of the plan less that of the dual; nan where terms were linearised.
    """

    support: Support
    energy: float
    plan_cost: float
    debiased: float
    way: float
    mobility: float
    ceiling: float
    gap: float
    dual: float
    itself: Itself
    applications: int

    @classmethod
    def of(cls, support: Support, found: EntropicPlan, energy: float, before: float) -> Report:
        """Measure the outcome."""
        mu, tau, kappa = found.masses, support.problem.tau, support.kappa
        smooth, phi = support.blurred, -found.alpha / kappa
        way = tau * math.sqrt(float(mu @ support.costs.steepness(phi).square()))
        released = float((smooth - mu) @ torch.where(phi.isfinite(), phi, 0))
        own = support.with_itself(mu, None if found.itself is None else found.itself.log, ITSELF)
        base = support.with_itself(support.masses, support.remembered, ITSELF)
        plain = found.itself is None
        value = energy + _both(support, found, found.alpha) / kappa
        dual = found.dual + support.parts.constant + 1 / kappa
        across = _both(support, found, found.alpha + found.tilt - (mu / support.volumes).log())
        return cls(
            support=support,
            energy=energy,
            plan_cost=float(mu @ found.spread),
            debiased=support.kernel.epsilon * across - 0.5 * (own.plan.value + base.plan.value),
            way=way,
            mobility=released * tau / max(way**2, TINY),
            ceiling=support.parts.value(smooth) if plain else before,
            gap=value - dual if plain and support.parts.rest is None else math.nan,
            dual=dual,
            itself=own,
            applications=own.plan.applications + base.plan.applications,
        )

    def status(self, found: EntropicPlan, tol: float) -> Status:
        """What happened, in this order."""
        mass = float(found.masses.sum())
        allowed = max(self.gap, 0) if math.isfinite(self.gap) else tol * (1 + abs(self.ceiling))
        if not all(map(math.isfinite, (self.energy, self.plan_cost, found.dual, mass))):
            return Status.NOT_FINITE
        if abs(mass - 1) > tol:
            return Status.MASS_LOST
        if found.residual > tol:
            return Status.MAX_ITERATIONS
        if self.energy > self.ceiling + allowed + 1e-10 * (1 + abs(self.energy)):
            return Status.ENERGY_ROSE
        # mass that the energy asks to move cannot: a diagonal kernel, and a plan that stayed with it
        asked = self.way > STILL * self.support.costs.spacing
        locked = self.kernel_kind == "diagonal" and asked and self.mobility < HALF
        return Status.LOCKED if locked else Status.CONVERGED

    @property
    def kernel_kind(self) -> str:
        """``diagonal``, ``resolved`` or ``flat``."""
        kernel = self.support.kernel
        if float(kernel.staying.median()) > DIAGONAL:
            return "diagonal"
        return "flat" if kernel.epsilon > FLAT * self.support.costs.square else "resolved"

    def figures(self, found: EntropicPlan) -> dict[str, float | str]:
        """The columns of the trajectory."""
        support, spacing = self.support, self.support.costs.spacing
        blur = math.sqrt(0.5 * support.kernel.epsilon)
        return {
            "epsilon": support.kernel.epsilon,
            "blur": blur,
            "blur_in_cells": blur / spacing,
            "kernel": self.kernel_kind,
            "plan_cost": self.plan_cost,
            "debiased": self.debiased,
            "debiased_objective": self.energy + self.debiased / (2 * support.problem.tau),
            "energy_of_blurred": self.ceiling,
            "way_in_cells": self.way / spacing,
            "mobility": self.mobility,
            "mass_correction": abs(float(found.masses.sum()) - 1),
            "emptied": float(((support.problem.base.weights > 0) & (found.masses == 0)).sum()),
            "applications": float(found.applications + self.applications),
        }


def _both(support: Support, found: EntropicPlan, alpha: Tensor) -> float:
    """``<mu, alpha> + <mu_k, beta>``."""
    pairs = (found.masses, alpha), (support.masses, found.beta)
    return sum(float((m * torch.where(m > 0, values, 0)).sum()) for m, values in pairs)


def _guess(support: Support) -> Tensor:
    """``dE/dmu`` at the blurred base point; what the last step found is no better."""
    smooth = support.blurred
    density = smooth / support.volumes
    empty = density < density.max() * math.exp(-support.cutoff)
    return support.parts.slope(smooth).masked_fill(empty, torch.inf)


def _gap(seen: Report, objective: float) -> Gap:
    """The gap of the entropic problem, over all plans."""
    if math.isnan(seen.gap):
        why = "a term was linearised, or the debiased objective minimised: no dual value is known"
        return Gap.unknown(why, objective)
    why = "plan and potentials of the entropic problem"
    return Gap(seen.gap, True, why, seen.dual, seen.dual + seen.gap)
