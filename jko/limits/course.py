"""What an integrator of this folder hands back, the trajectory that is made of it, and the arguments that all share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko import checks
from jko.energies import Energy, value_of
from jko.limits.stopped import LimitStopped
from jko.measures import State
from jko.status import Status
from jko.trajectory import Trajectory

Array = NDArray[np.float64]
Times = Sequence[float] | Array | Tensor
Row = TypeVar("Row", Array, Tensor)


class Course(NamedTuple, Generic[Row]):
    """Kept times (K,), and the unknown at them, K rows.

    ``stopped`` is the time at which an event was zero, or None; ``rested`` that from which on nothing moved, or None;
    ``failure`` a sentence, or None: then the times end where the integration did.  ``last`` is the unknown there.
    """

    times: Array
    rows: Sequence[Row]
    stopped: float | None
    rested: float | None
    failure: str | None
    last: Row


def travelled(
    energy: Energy | Callable[[State], float],
    start: State,
    solution: Course[Row],
    state: Callable[[float, Row], State],
    columns: Callable[[Any], dict[str, Array]] = lambda rows: {},
) -> Trajectory:
    """The trajectory of a solution, whose rows ``state`` reads; its times end before a state that is none.

    Raises
    ------
    LimitStopped
        With the trajectory, if the solution failed, or ``state`` or ``energy`` raised a ValueError.
    """
    times, rested = solution.times, math.inf if solution.rested is None else solution.rested
    states, energies, failure = [start], [value_of(energy, start)], solution.failure
    for k in range(1, len(times)):
        rests = times[k - 1] >= rested
        try:
            here = states[-1] if rests else state(times[k], solution.rows[k])
            energies.append(energies[-1] if rests else value_of(energy, here))
        except ValueError as error:  # such as atoms of a pair that met on a wall
            failure, times = f"by t = {times[k]:g} of {times[-1]:g} {error}", times[:k]
            break
        states.append(here)
    run = Trajectory(
        times=times,
        energies=np.array(energies),
        states=tuple(states),
        kept=np.arange(len(states)),
        columns=columns(solution.rows[: len(times)]),
        status=Status.FINISHED if solution.rested is None else Status.AT_REST,
    )
    if failure is None:
        return run
    raise LimitStopped(failure, replace(run, status=Status.ERROR))


def kept_times(times: Times, t1: float) -> Array:
    """The times to keep, with 0 and t1."""
    numbers = checks.shape("times", checks.floats("times", times), ("K",))
    given = numbers.cpu().numpy().astype(np.float64)
    if not (np.diff(given) > 0).all() or given[0] < 0 or given[-1] > t1:
        raise ValueError(f"times = {given}; they must increase and lie in [0, t1] with t1 = {t1:g}")
    return np.unique(np.concatenate([[0.0], given, [t1]]))


def tolerance(rtol: float, points: Tensor) -> float:
    """A tolerance that the state's numbers can tell apart."""
    least = 100 * torch.finfo(points.dtype).eps
    rtol = checks.number("rtol", rtol, above=0)
    if rtol < least:
        raise ValueError(
            f"rtol = {rtol:g}, but the state is {points.dtype}, which resolves {least:.1e} at best; "
            + (
                "raise rtol"
                if points.dtype == torch.float64
                else "raise rtol, or convert state and data to float64"
            )
        )
    return rtol
