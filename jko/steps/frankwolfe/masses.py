"""The masses of all portions at once, positions held: a convex problem, exact for what the prices know.

Risks and linear terms are solved as they are, with the active sets of the bundle; only sources with several portions
have a choice.  Other convex terms enter by their linearisation, so there the step is cut by a line search, and the
slopes are levelled by Newton's method, whose matrix comes from differences of slopes (exact for interactions).
"""

from __future__ import annotations

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

from jko.duality import Envelope
from jko.duality.bundle import Columns
from jko.steps.frankwolfe.pieces import Portions, Sources

SHARES = {"xatol": 1e-4, "maxiter": 40}  # of the line search
LEVELS = 3  # Newton steps
FEW = 100  # masses that are levelled, at most


def best_masses(sources: Sources, envelope: Envelope, plan: Portions) -> Portions:
    """The best masses at these points (those without mass are offers), or better ones than before."""
    columns = Columns.of_plan(envelope, sources.masses, plan.points, plan.block, plan.masses)
    columns.solve()
    if envelope.minorant.exact:
        return _held(plan._replace(masses=columns.plan))
    change = columns.plan - plan.masses

    def along(share: float) -> Portions:
        return _held(plan._replace(masses=plan.masses + share * change))

    found = minimize_scalar(
        lambda share: sources.value(along(share)),
        bounds=(0.0, 1.0),
        method="bounded",
        options=SHARES,
    )
    better = along(float(found.x))
    best = min(_held(plan), better, key=sources.value)
    for _ in range(LEVELS):
        best = _levelled(sources, best)
    return best


def _held(plan: Portions) -> Portions:
    """The portions that hold mass."""
    return plan.kept(plan.masses > 0)


def _levelled(sources: Sources, plan: Portions) -> Portions:
    """A Newton step towards masses at which all portions of a source have one slope, if it makes them more alike."""
    heaviest = -sources.least(plan, -plan.masses)
    rows = torch.nonzero(sources.several(plan) & (plan.masses < heaviest[plan.block])).flatten()
    if not 0 < len(rows) <= FEW:
        return plan
    first = torch.arange(len(plan.block), device=rows.device)
    pivot = first.new_zeros(sources.N).index_put((plan.block,), first)
    full = plan.masses == heaviest[plan.block]
    pivot[plan.block[full]] = first[full]
    against = pivot[plan.block[rows]]

    def moved(change: Tensor) -> Portions:
        masses = plan.masses.index_add(0, rows, change).index_add(0, against, -change)
        return plan._replace(masses=masses)

    def uneven(here: Portions) -> Tensor:
        slope = sources.at(here).by_mass
        return slope[rows] - slope[against]

    now, some = uneven(plan), 0.5 * plan.masses[rows]
    shifts = [moved(torch.where(rows == a, some, 0.0)) for a in rows]
    H = torch.stack(
        [(uneven(shift) - now) / part for shift, part in zip(shifts, some, strict=True)], 1
    )
    step = torch.linalg.lstsq(0.5 * (H + H.T), -now[:, None], driver="gelsd").solution[:, 0]
    trial = moved(step)
    if bool((trial.masses > 0).all()) and float(uneven(trial).abs().max()) < float(now.abs().max()):
        return trial
    return plan
