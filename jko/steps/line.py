"""What steps on the line share: internal energies as a pressure of cells, and the loop of Newton's method."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from jko.energies import Energy, Internal
from jko.status import Status
from jko.steps.endless import endless
from jko.steps.memory import rounding

Array = NDArray[np.float64]

STRAIGHT = 1e-3  # times 1 / tau: the curvature that a convex model gives to a straight line
FALLEN = 1e-3  # of the first residual: where it has fallen so much, there is a minimum
LOOK = 20  # iterations after which to look whether there is a minimum at all
TINY, HUGE = 1e-140, 1e140  # numbers between them have squares
FRACTION = 1e-8  # of the speed: the residual at which to stop


class Pressed(NamedTuple):
    """``sum l U(m / l)`` over cells of widths l, the pressure ``rho U' - U`` and the stiffness ``rho^2 U'' / l``.

    The pressure is minus the derivative in l, the stiffness its derivative.
    """

    energy: float
    pressure: Array
    stiffness: Array


def internal_terms(energy: Energy) -> list[tuple[float, Internal]]:
    """The internal energies with their coefficients.

    Raises
    ------
    ValueError
        A negative coefficient.
    """
    found = [(c, E) for c, E in energy.terms if isinstance(E, Internal) and c]
    for c, E in found:
        if c < 0:
            raise ValueError(
                f"{type(E).__name__} has the coefficient {c:g}; a negative internal energy is unbounded below: "
                "its coefficient must be positive"
            )
    return found


def other_terms(energy: Energy) -> Energy | None:
    """All other terms, as one energy of atoms."""
    rest = [c * E for c, E in energy.terms if not isinstance(E, Internal)]
    return sum(rest[1:], rest[0]) if rest else None


def pressed(terms: list[tuple[float, Internal]], masses: Array, widths: Array) -> Pressed:
    """Internal energies of cells with these masses and widths."""
    energy, pressure, stiffness = 0.0, np.zeros_like(widths), np.zeros_like(widths)
    with np.errstate(all="ignore"):  # a density beyond all numbers has no finite energy
        rho = torch.from_numpy(masses / widths)
        for c, E in terms:
            U, slope = E.U(rho).numpy(), E.slope(rho)
            curvature = 1 / E.density_slope(slope).numpy()
            energy += c * float(widths @ U)
            pressure += c * (rho.numpy() * slope.numpy() - U)
            stiffness += c * rho.numpy() ** 2 * curvature / widths
    return Pressed(energy, pressure, stiffness)


def root(form: Callable[[Array], float], v: Array) -> float:
    """``form(v) ** 0.5`` of a quadratic form; v is scaled where squares would leave the range of numbers."""
    square = form(v)
    if TINY**2 < square < HUGE**2:
        return square**0.5
    size = float(np.abs(v).max(initial=0.0))
    unit = size if 0 < size < math.inf else 1.0
    return unit * max(form(v / unit), 0.0) ** 0.5


def onward(
    start: Array, move: Array, factor: float, bounds: tuple[float, float], widen: bool
) -> Array | None:
    """``start + factor move`` between the bounds; where it would fold, and ``widen``, the place itself so much wider.

    None where there is no such place.
    """
    middle = start.mean()
    for X in (start + factor * move, middle + factor * (start + move - middle))[: 1 + widen]:
        X = np.clip(X, *bounds)
        if bool((np.diff(X) > 0).all()):
            return X
    return None


class Spot(Protocol):
    """A point with the value of the objective and its gradient."""

    @property
    def value(self) -> float:
        """Of the objective."""
        ...

    @property
    def energy(self) -> float:
        """Its share of the energy."""
        ...

    @property
    def gradient(self) -> Array:
        """Of the objective."""
        ...


S = TypeVar("S", bound=Spot)


class Found(NamedTuple, Generic[S]):
    """What a minimisation gives back."""

    spot: S
    residual: float
    iterations: int
    evaluations: int
    status: Status


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is not finite gets a status
def descent(
    spot: S,
    residual: Callable[[S], float],
    tolerance: Callable[[S], float],
    descend: Callable[[S, float], tuple[S | None, int]],
    max_iterations: int,
    further: Callable[[S, float, bool], S | None],
) -> Found[S]:
    """Descend from ``spot`` until the Euler-Lagrange equation holds.

    Parameters
    ----------
    residual, tolerance
        What is left of the equation at a spot, and what may be left.
    descend
        (spot, its residual) to a lower spot, or None, and the evaluations that it took.
    further
        The spot so many times as far from the base point, along the steepest descent where it is the base point itself;
        where that folds, None, or if the last argument says so the spot so many times as wide.
    """
    evaluations, first = 0, math.inf

    def ahead(factor: float, widen: bool = False) -> tuple[float, float]:
        new = further(spot, factor, widen)
        return (math.inf, 0.0) if new is None else (new.value, new.energy)

    def at_last(otherwise: Status) -> Status:
        lost = endless(lambda factor: ahead(factor, True), spot.value)
        return Status.UNBOUNDED if lost else otherwise

    for iteration in itertools.count():
        if not (math.isfinite(spot.value) and np.isfinite(spot.gradient).all()):
            return Found(spot, math.nan, iteration, evaluations, Status.NOT_FINITE)
        left, allowed = residual(spot), tolerance(spot)
        if not math.isfinite(left + allowed):
            return Found(spot, math.nan, iteration, evaluations, Status.NOT_FINITE)
        first = left if iteration == 0 else first
        if left <= allowed:
            # small beside the length of the move alone; and the fall itself below the rounding of E
            far = iteration > 0 and left > FALLEN * first
            lost = abs(spot.value) < rounding(spot.energy)
            away = far and (lost or endless(ahead, spot.value))
            status = Status.UNBOUNDED if away else Status.CONVERGED
            return Found(spot, left, iteration, evaluations, status)
        if iteration % LOOK == LOOK - 1 and endless(ahead, spot.value):
            return Found(spot, left, iteration, evaluations, Status.UNBOUNDED)
        if iteration == max_iterations:
            return Found(spot, left, iteration, evaluations, at_last(Status.MAX_ITERATIONS))
        new, tried = descend(spot, left)
        evaluations += tried
        if new is None:
            return Found(spot, left, iteration, evaluations, at_last(Status.STALLED))
        spot = new
    raise AssertionError("unreachable")
