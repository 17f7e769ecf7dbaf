"""Where an error comes from: the time step, the number of particles, the cells, the quadrature of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jko import checks
from jko.shown import Shown


@dataclass(frozen=True)
class ErrorBudget(Shown):
    """Estimated errors of a computed result, one for each parameter of the method.

    Attributes
    ----------
    errors : dict
        Parameter to the estimated distance from the result with this parameter at its limit and the others as they are.
    at : dict
        The parameters.
    orders : dict
        The orders that the estimates rest on.

    Examples
    --------
    >>> import jko
    >>> budget = jko.diagnostics.error_budget(
    ...     lambda tau: (1 + tau) ** (-1 / tau), at={"tau": 0.1}, orders={"tau": 1}
    ... )
    >>> budget.largest
    'tau'
    """

    errors: dict[str, float]
    at: dict[str, float]
    orders: dict[str, float]

    @property
    def largest(self) -> str:
        """The parameter to refine first."""
        return max(self.errors, key=lambda name: self.errors[name])

    @property
    def total(self) -> float:
        """The sum of the estimates: what the error is about, at most."""
        return sum(self.errors.values())

    def _facts(self) -> dict[str, object]:
        return {"total": self.total, "refine": self.largest} | self.errors

    def __str__(self) -> str:
        rows = [
            f"{name:<10} {self.at[name]:>12.6g}  order {self.orders[name]:g}  error {error:.2e}"
            + ("  <- refine this" if name == self.largest else "")
            for name, error in self.errors.items()
        ]
        return "\n".join([*rows, f"{'sum':<10} {'':>12}  {'':>7}  error {self.total:.2e}"])


def error_budget(
    run: Callable[..., Any],
    at: Mapping[str, float],
    orders: Mapping[str, float],
    distance: Callable[[Any, Any], float] | None = None,
) -> ErrorBudget:
    """Refine one parameter at a time, and extrapolate: ``error_p = |u - u_p| / (1 - 2^-q)``.

    Here u is the result at ``at``, u_p that with the parameter p refined by two, q the order of its error: Richardson's
    estimate.  Whole numbers (of particles, data, cells) are refined by doubling, others (time steps, widths) by
    halving; q is the order in 1/N and in tau.

    Parameters
    ----------
    run : callable
        Keyword arguments to a result; called once for each parameter and once more.  What it draws at random it should
        draw from the same seed.
    at : mapping
        Parameters and their values, all > 0.
    orders : mapping
        The order of each: 1 for the JKO step, 2 for the width of a cell, 1/2 for N random particles.
    distance : callable, optional
        Of two results; default the absolute difference of two numbers.

    Raises
    ------
    ValueError
        Parameters without an order, orders that are not positive.

    Notes
    -----
    For the order itself compute several refinements: :func:`jko.convergence`.

    Examples
    --------
    >>> import jko
    >>> def run(tau, n):  # implicit Euler for x' = -x, and a sum for int_0^1 x dx
    ...     return (1 + tau) ** (-1 / tau) + sum((k + 0.5) / n for k in range(n)) / n
    >>> budget = jko.diagnostics.error_budget(
    ...     run, at={"tau": 0.1, "n": 10}, orders={"tau": 1, "n": 2}
    ... )
    >>> budget.largest, round(budget.errors["tau"], 4)  # exactly 0.0177
    ('tau', 0.0173)
    """
    checks.function("run", run, hint="it takes the parameters by name")
    for what, given in (("at", at), ("orders", orders)):
        checks.kind(what, given, Mapping, hint="pass a dict of numbers by their names")
    if missing := set(at) ^ set(orders):
        names = (sorted(map(str, each)) for each in (at, orders, missing))
        raise ValueError(
            "at has the parameters {} and orders {}; {} must be in both".format(*names)
        )
    apart = (lambda a, b: abs(float(a) - float(b))) if distance is None else distance
    checks.function("distance", apart, hint="it takes two results and gives back a number")
    values = {name: checks.number(name, value, above=0) for name, value in at.items()}
    here, errors = run(**at), {}
    for name, value in at.items():
        order = checks.number(f"the order of {name}", orders[name], above=0)
        finer = 2 * value if isinstance(value, int) else value / 2
        errors[name] = float(apart(here, run(**{**at, name: finer}))) / (1 - 2**-order)
    return ErrorBudget(errors, values, dict(orders))
