"""The masses of all portions at once, positions held: a convex problem, exact for what the prices know.

Risks and linear terms are solved as they are, with the active sets of the bundle; only sources with several portions
have a choice.  Other convex terms enter by their linearisation, so there the step is cut by a line search.
"""

from __future__ import annotations

from scipy.optimize import minimize_scalar

from jko.duality import Envelope
from jko.duality.bundle import Columns
from jko.steps.frankwolfe.pieces import Portions, Sources

SHARES = {"xatol": 1e-4, "maxiter": 40}  # of the line search


def best_masses(sources: Sources, envelope: Envelope, plan: Portions) -> Portions:
    """The best masses at these points (those without mass are offers), or better ones than before."""
    columns = Columns.of_plan(envelope, sources.masses, plan.points, plan.block, plan.masses)
    columns.solve()
    if envelope.minorant.exact:
        return plan._replace(masses=columns.plan)
    change = columns.plan - plan.masses

    def along(share: float) -> Portions:
        return plan._replace(masses=plan.masses + share * change)

    found = minimize_scalar(
        lambda share: sources.value(_held(along(share))),
        bounds=(0.0, 1.0),
        method="bounded",
        options=SHARES,
    )
    return along(float(found.x))


def _held(plan: Portions) -> Portions:
    """The portions that hold mass."""
    return plan.kept(plan.masses > 0)
