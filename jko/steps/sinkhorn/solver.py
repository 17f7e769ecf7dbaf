"""``Sinkhorn``: the entropic JKO step on a fixed support, by scaling.

``minimise over gamma >= 0 with second marginal mu_k:
E(gamma 1) + (<c, gamma> + epsilon KL(gamma | vol x mu_k)) / (2 tau)``,  ``c = |x - y|^2``
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.duality import Gap
from jko.energies import Energy
from jko.measures import Particles, State
from jko.metrics import ENTROPIC, natural_metric
from jko.steps.problem import StepProblem
from jko.steps.result import Falls, StepResult
from jko.steps.sinkhorn.passes import Outcome, minimise
from jko.steps.sinkhorn.reports import Report, blurred, figures, judged, report
from jko.steps.sinkhorn.setting import Setting


@dataclass(frozen=True, eq=False)
class Sinkhorn:
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

    epsilon: float
    volumes: Tensor | Callable[[Tensor], Any] | None = None
    debiased: bool = False
    tol: float = 1e-6
    max_iterations: int = 200

    def __init__(
        self,
        epsilon: float,
        volumes: Any = None,
        *,
        debiased: bool = False,
        tol: float = 1e-6,
        max_iterations: int = 200,
    ) -> None:
        try:
            epsilon = checks.number("epsilon", epsilon, above=0)
        except ValueError as error:
            raise ValueError(
                f"{error}; it is a squared length: the kernel exp(-|x - y|^2 / epsilon) spreads mass over "
                "sqrt(epsilon / 2)"
            ) from None
        if not (volumes is None or callable(volumes)):
            volumes = checks.shape("volumes", checks.floats("volumes", volumes), ("N",))
        fields = (
            ("epsilon", epsilon),
            ("volumes", volumes),
            ("debiased", bool(debiased)),
            ("tol", checks.number("tol", tol, above=0, below=1)),
            ("max_iterations", checks.count("max_iterations", max_iterations)),
        )
        for name, value in fields:
            object.__setattr__(self, name, value)

    def solve(self, problem: StepProblem) -> StepResult:
        """Solve the entropic problem of one step."""
        setting = Setting.of(problem, self.epsilon, self.volumes)
        before = setting.energy(setting.masses)
        guess = _guess(setting)
        found = minimise(setting, guess, self.tol, self.max_iterations, self.debiased)
        total = found.masses.sum()
        energy = setting.energy(found.masses / total)
        seen = report(setting, found, energy, before)
        return self._result(setting, found, seen, before, energy)

    def value(self, energy: Energy, state: State) -> float:
        """E(state) as the step sees it: on particles with their volumes, so that internal energies have a value."""
        problem = StepProblem(energy, natural_metric(state), state, 1.0)
        setting = Setting.of(problem, self.epsilon, self.volumes)
        return setting.energy(setting.masses)

    def _result(
        self, setting: Setting, found: Outcome, seen: Report, before: float, energy: float
    ) -> StepResult:
        problem = setting.problem
        cost = seen.debiased if self.debiased else seen.plan_cost
        own = seen.itself.log
        if isinstance(problem.previous, Particles):
            own = own[found.masses > 0]
        return StepResult.of(
            problem,
            setting.state(found.masses / found.masses.sum()),
            energy=energy,
            cost=cost,
            before=before,
            residual=found.here.residual + found.change,
            iterations=found.iterations,
            evaluations=found.evaluations,
            status=judged(setting, found, seen, energy, self.tol),
            coupling=ENTROPIC,
            memory={"self_scaling": own},
            figures=figures(setting, found, seen, energy),
            gap=_gap(seen, energy + cost / (2 * problem.tau)),
            falls=Falls.NEITHER,
        )


def _guess(setting: Setting) -> Tensor:
    """DE/dmu at the blurred base point; what the last step found is no better."""
    smooth = blurred(setting)
    density = smooth / setting.volumes
    empty = density < density.max() * math.exp(-setting.cutoff)
    return setting.variation(smooth).masked_fill(empty, torch.inf)


def _gap(seen: Report, objective: float) -> Gap:
    """The gap of the entropic problem, over all plans."""
    if math.isnan(seen.gap):
        why = "a term was linearised, or the debiased objective minimised: no dual value is known"
        return Gap(math.inf, False, why, -math.inf, objective)
    why = "plan and potentials of the entropic problem"
    return Gap(seen.gap, True, why, seen.dual, seen.dual + seen.gap)
