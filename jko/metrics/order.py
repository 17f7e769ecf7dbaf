"""The distance of pairs on the line through flows that keep the order of Theta.

(3.20)-(3.23) are written for ``rho_s = (X_s)_# rho_0`` with X_s a homeomorphism of Theta and H carried along.  On the
line such a flow keeps the order, so its ends are coupled by the monotone map, along which straight lines are optimal:

    D_flow^2 = int_0^1 |Q_1(u) - Q_2(u)|^2 + |H_1(Q_1(u)) - H_2(Q_2(u))|^2 du >= D^2,  Q_i the quantiles of rho_i.

In d >= 2 particles can pass around each other at arbitrarily small extra cost, and the infimum is D.
"""

from __future__ import annotations

import numpy as np

from jko import checks
from jko.measures import Pair, State
from jko.measures.tensors import on_numbers
from jko.metrics.base import Distance
from jko.metrics.couplings import Plan, as_array, pair_costs
from jko.metrics.supplies import settled
from jko.metrics.transport import in_order


@on_numbers
def flow_distance(a: State, b: State) -> Distance:
    """The distance of two pairs on the line in the class of flows by homeomorphisms of Theta; at least D.

    Parameters
    ----------
    a, b
        Pairs (rho, H) with d = 1, of any kinds; cells of a :class:`jko.ChargedDensity` count as atoms at their centres,
        which is of second order in their width.

    Returns
    -------
    Distance
        ``plan`` is the monotone coupling, between the atoms of the lifts.  There are no potentials (empty arrays) and
        nothing to prove (``gap`` zero): the class has one coupling only.

    Notes
    -----
    Infinitesimally it agrees with D, so it has the same gradient flow, (3.23).  It is larger where the optimal plan
    of D breaks the order: swapping charges b and -b at -a and a costs 4 b^2, but D^2 = 4 min(a^2, b^2).

    Source: survey Remark 3.4.

    Raises
    ------
    ValueError
        d >= 2, or different dtypes or devices.
    TypeError
        A state that is no pair.

    Examples
    --------
    >>> import jko
    >>> a = jko.ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    >>> b = jko.ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    >>> jko.metrics.flow_distance(a, b).squared, round(jko.distance(a, b).squared, 12)
    (16.0, 4.0)
    """
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, Pair, hint="flows of Theta move pairs (rho, H)")
        if state.atoms.dim != 2:
            raise ValueError(
                f"{name} has d = {state.atoms.dim - 1}; flows keep an order only on the line, d = 1. In higher "
                "dimension particles pass around each other and the distance is D: jko.distance"
            )
    checks.alike("a", a.atoms.points, "b", b.atoms.points)
    (x, m), (y, n) = ((as_array(s.points), as_array(s.weights)) for s in (a.atoms, b.atoms))
    rows, cols = (np.flatnonzero(masses > 0) for masses in (m, n))
    ordered = in_order(x[rows, 1], m[rows], y[cols, 1], n[cols])
    costs = pair_costs(x[rows], y[cols], ordered.rows, ordered.cols)
    ordered = settled(ordered, m[rows], n[cols], costs)
    plan = Plan(rows[ordered.rows], cols[ordered.cols], ordered.mass, (len(m), len(n)))
    none = np.empty(0), np.empty(0)
    return Distance(plan.cost(x, y), plan, none, 0.0, exact=True, length=plan.length(x, y))
