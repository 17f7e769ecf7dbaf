"""How a limit ends before its time: a sentence that carries what was computed."""

from __future__ import annotations

from typing import Any


class LimitStopped(RuntimeError, ValueError):
    """The integration of a limit ended before t1; the message says where, why, and what to do.

    It is a ValueError too: the remedy is always another argument (t1, rtol, the work allowed, the start, the energy).

    Attributes
    ----------
    trajectory
        What was computed before: what the call would have returned, up to the time where it stopped.

    Examples
    --------
    >>> import jko
    >>> try:
    ...     jko.limits.wasserstein(
    ...         jko.SquaredNorm(), jko.Particles([[1.0]]), t1=1.0, max_evaluations=3
    ...     )
    ... except jko.limits.LimitStopped as stopped:
    ...     print(float(stopped.trajectory.times[0]))
    0.0
    """

    def __init__(self, message: str, trajectory: Any = None) -> None:
        super().__init__(message)
        self.trajectory = trajectory

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.trajectory)


def out_of_work(allowed: int, t: float, t1: float, remedy: str) -> str:
    """The sentence for a run whose evaluations are used up at the time t."""
    return (
        f"{allowed} evaluations of the velocity took the solution to t = {t:g} of {t1:g} only, so it was stopped; "
        f"what there is, is in the error's .trajectory. {remedy}, or raise max_evaluations"
    )


def nowhere(t: float) -> str:
    """The sentence for a run whose right side is not finite at the time t."""
    if t == 0:
        return "the gradient of the energy is not finite at the start; check data, features and potentials"
    return (
        f"the velocity is not finite at t = {t:g}; take t1 below, and check features and potentials"
    )
