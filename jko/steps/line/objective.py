"""A step on the line as a function of nodes that keep their order.

n nodes have k unknowns each, the last of which is a place on the line.  With the places ``x_c``, masses m_c between
neighbours and widths ``l_c = x_{c+1} - x_c``,

``J(u) = |u - u_k|_M^2 / (2 tau) + sum_c l_c U(m_c / l_c) + G(mu_u)``.

M is the Gram matrix of the metric, U collects the internal energies, and G all other terms: those are read from atoms,
which follow the nodes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from jko.duality import Gap
from jko.energies import Energy, Internal, Mixture, joined, negative, refuse, sorted_terms
from jko.energies.terms import SortedTerms
from jko.measures import ChargedMesh, LineMesh, Particles
from jko.metrics import Certificate, as_array
from jko.numerics.banded import Banded, Inverse
from jko.numerics.blocks import descending
from jko.spaces import Box
from jko.steps.problem import StepProblem

Array = NDArray[np.float64]

EPS = np.finfo(np.float64).eps
STRAIGHT = 1e-3  # times 1 / tau: the curvature that a convex model gives to a straight line
FRACTION = 1e-8  # of the speed: the residual at which to stop
TINY, HUGE = 1e-140, 1e140  # numbers between them have squares


@dataclass(frozen=True, eq=False)
class Spot:
    """J at the unknowns u (n k,): its value, the gradient in u, and what they are made of."""

    u: Array
    x: Array  # the places among them
    widths: Array
    energy: float
    cost: float
    value: float
    gradient: Array
    held: list[int]  # unknowns that the gradient presses against a wall
    pressure: Array  # rho U' - U: minus the derivative of l U(m / l) in l
    stiffness: Array  # rho^2 U'' / l: its second derivative


@dataclass(frozen=True, eq=False)
class Objective(ABC):
    """J of a step problem; what the nodes are is up to the children."""

    problem: StepProblem
    mesh: LineMesh | ChargedMesh  # the base point

    k: ClassVar[int]  # unknowns of a node

    # The nodes

    @property
    @abstractmethod
    def start(self) -> Array:
        """The unknowns u_k of the base point, (n k,)."""

    @property
    @abstractmethod
    def gram(self) -> Banded:
        """M: ``(u - u_k) . M (u - u_k)`` is the squared distance."""

    @abstractmethod
    def state(self, u: Array) -> LineMesh | ChargedMesh:
        """The base point moved to u."""

    @abstractmethod
    def atoms(self, u: Array) -> Particles:
        """N atoms that follow the nodes: what G sees."""

    @abstractmethod
    def moves(self, v: Array) -> Array:
        """How the atoms move with the unknowns: (n k,) to (N, d)."""

    @abstractmethod
    def carried(self, field: Array) -> Array:
        """What the unknowns carry of a field on the atoms, masses included: (N, d, ...) to (n k, ...)."""

    @abstractmethod
    def bends(self, blocks: Array) -> Array:
        """The bands (k + 1, n k) of the quadratic form that blocks (N, d, d) on the atoms make, masses included."""

    def folded(self, spot: Spot) -> bool:
        """Whether nodes have met so that there is no state beyond."""
        return False

    # What is known of a step

    @abstractmethod
    def coupling(self, spot: Spot) -> Certificate:
        """Whether the nodes' own coupling is optimal."""

    @abstractmethod
    def gap(self, spot: Spot, residual: float) -> Gap | None:
        """How far J is from its minimum; None leaves it to the duality of atoms."""

    # The function

    @property
    def places(self) -> slice:
        """Where the unknowns are places on the line."""
        return slice(self.k - 1, None, self.k)

    @cached_property
    def masses(self) -> Array:
        """Masses between neighbours, (n - 1,)."""
        return as_array(self.mesh.masses)

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """The walls, infinite where there are none."""
        domain = self.mesh.domain
        if domain is None:
            return -np.inf, np.inf
        assert isinstance(domain, Box)  # a mesh takes nothing else
        return float(domain.lower), float(domain.upper)

    @cached_property
    def _terms(self) -> SortedTerms:
        return sorted_terms(self.problem.energy)

    @cached_property
    def internal(self) -> Mixture:
        """The internal energies as one.

        Raises
        ------
        ValueError
            A negative coefficient.
        """
        why = "a negative internal energy is unbounded below: its coefficient must be positive"
        refuse(negative(self._terms.internal), "{name} has the coefficient {c:g}; " + why)
        return self._terms.mixture

    @cached_property
    def others(self) -> Energy | None:
        """All other terms, as one energy of atoms."""
        return joined(self._terms.without(Internal))

    @cached_property
    def representative(self) -> Inverse:
        """``M^-1``: from gradients in u to those in L2(mu_k)."""
        inverse = self.gram.inverse()
        assert inverse is not None  # masses are positive
        return inverse

    def at(self, u: Array) -> Spot:
        """Value and gradient."""
        tau, d = self.problem.tau, u - self.start
        pull = self.gram @ d
        gradient = pull / tau
        x = u[self.places]
        widths = x[1:] - x[:-1]
        energy, pressure, stiffness = pressed(self.internal, self.masses, widths)
        force = gradient[self.places]  # a view
        force[:-1] += pressure
        force[1:] -= pressure
        if self.others is not None:
            terms = self.others.evaluate(self.atoms(u))
            energy += float(terms.value)
            gradient += self.carried(as_array(terms.gradient))
        cost = float(d @ pull)
        value = energy + cost / (2 * tau)
        held = self._held(x, gradient)
        return Spot(u, x, widths, energy, cost, value, gradient, held, pressure, stiffness)

    def hessian(self, spot: Spot, convex: bool) -> tuple[Banded, Callable[[Array], Array] | None]:
        """Second derivatives, and their cross terms apart; ``convex`` turns negative curvature of G."""
        tau, gram = self.problem.tau, self.gram.bands
        bands = np.zeros((self.k + 1, len(spot.u)))
        bands[: len(gram)] = gram / tau
        factor, cross = None, None
        if self.others is not None:
            blocks, columns, cross = self.others.second_order(self.atoms(spot.u))
            if convex:
                eye = torch.eye(blocks.shape[-1]).to(blocks) / tau
                blocks = descending(blocks + eye, STRAIGHT / tau) - eye
            bands += self.bends(as_array(blocks))
            factor = None if columns is None else self.carried(as_array(columns))
        return Banded(bands, factor).stiffer(between(spot.stiffness, self.k)), self._far(cross)

    def _far(self, cross: Callable | None) -> Callable[[Array], Array] | None:
        if cross is None:
            return None
        like = self.mesh.masses
        return lambda v: self.carried(as_array(cross(torch.from_numpy(self.moves(v)).to(like))))

    def _held(self, x: Array, g: Array) -> list[int]:
        """The unknowns that a gradient presses against a wall: the first place, the last, both or none."""
        first, (lower, upper) = self.k - 1, self.bounds
        left, right = x[0] <= lower and g[first] > 0, x[-1] >= upper and g[-1] < 0
        return [first] * bool(left) + [len(g) - 1] * bool(right)

    def inside(self, u: Array) -> Array:
        """``u`` itself, its first and last place put between the walls."""
        x, (lower, upper) = u[self.places], self.bounds
        x[0], x[-1] = max(x[0], lower), min(x[-1], upper)
        return u

    def free(self, spot: Spot) -> Array:
        """The gradient without what the walls hold."""
        if not spot.held:
            return spot.gradient
        g = spot.gradient.copy()
        g[spot.held] = 0.0
        return g

    def residual(self, spot: Spot) -> float:
        """The L2(mu_k) norm of what is left of the Euler-Lagrange equation."""
        return root(lambda g: float(g @ self.representative(g)), self.free(spot))

    def tolerance(self, spot: Spot, tol: float | None) -> float:
        """The residual at which to stop: ``tol``, or ``1e-8 |u - u_k|_M / tau``, and never below rounding."""
        wanted = FRACTION * spot.cost**0.5 / self.problem.tau if tol is None else tol
        return max(wanted, self.rounding(spot))

    def rounding(self, spot: Spot) -> float:
        """The residual that the rounding of places and pressures alone can cause."""
        reach, diagonal = float(np.abs(spot.u).max()), self.gram.diagonal[self.places]
        jitter = np.abs(spot.pressure) + spot.stiffness * reach
        noise = diagonal * reach / self.problem.tau
        noise[:-1] += jitter
        noise[1:] += jitter
        return float(EPS) * root(lambda v: float((v**2 / diagonal).sum()), noise)

    def further(self, spot: Spot, factor: float, widen: bool) -> Spot | None:
        """The spot ``factor`` times as far from the base point; from there, along the steepest descent.

        Where cells would turn over: None, or with ``widen`` the places themselves so many times as wide.
        """
        move = spot.u - self.start
        if not move.any():
            move = -self.problem.tau * self.representative(spot.gradient)
        u, x = self.start + factor * move, self.start[self.places]
        middle = x.mean()
        for wide in (u[self.places], middle + factor * (x + move[self.places] - middle)):
            new = np.clip(wide, *self.bounds)
            if bool((new[1:] > new[:-1]).all()):
                u[self.places] = new
                return self.at(u)
            if not widen:
                break
        return None


def pressed(U: Mixture, masses: Array, widths: Array) -> tuple[float, Array, Array]:
    """``sum l U(m / l)`` over cells of widths l, their pressures ``rho U' - U``, their stiffness ``rho^2 U'' / l``."""
    if not U.summands:
        return 0.0, np.zeros_like(widths), np.zeros_like(widths)
    with np.errstate(all="ignore"):  # a density beyond all numbers has no finite energy
        density = masses / widths
        rho = torch.from_numpy(density)
        stiffness = density * density * U.stiffness(rho).numpy() / widths
        return float(widths @ U.U(rho).numpy()), U.pressure(rho).numpy(), stiffness


def between(springs: Array, k: int) -> Array:
    """Springs (n - 1,) between the places of neighbours, as springs (n k - k,) between all unknowns k apart."""
    if k == 1:
        return springs
    all_ = np.zeros((len(springs), k))
    all_[:, -1] = springs
    return all_.ravel()


def root(form: Callable[[Array], float], v: Array) -> float:
    """``form(v) ** 0.5`` of a quadratic form; v is scaled where squares would leave the range of numbers."""
    square = form(v)
    if TINY**2 < square < HUGE**2:
        return square**0.5
    size = float(np.abs(v).max(initial=0.0))
    unit = size if 0 < size < math.inf else 1.0
    return unit * max(form(v / unit), 0.0) ** 0.5
