"""What a state is, and what it is read as: atoms.

A state is a probability measure mu, or a pair (rho, H).  For a shallow network xi = (w, theta) and Omega = R x Theta:
column 0 of ``points`` is w, the others are theta (survey 2.1).  Equal weights 1/N are the measure mu_N of the survey.

Everything about a pair (rho, H) is read off its graph lift ``(id, H)_# rho`` on R x Theta (survey 2.3):
G(rho, H) = F(lift) and D = W2 between lifts, so no other file needs to know this kind of state.  There are three words:

- ``state.atoms``: what energies, metrics and solvers sum over, one atom for each weight of the state, zero or not.
- ``state.to_particles()``: a state of its own, of the atoms that hold mass; of a pair it is a pair.
- ``pair.lift()``: the same of a pair, as the measure ``(id, H)_# rho``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import recordable
from jko.measures import looks, sampling
from jko.measures.convertible import Convertible
from jko.measures.labels import check_graph, merged
from jko.spaces import Box, Domain, Torus, base_of, cached, check_inside, cylinder, wrapped


class State(Convertible):
    """A probability measure, or a pair (rho, H), as the rest of the library sees it.

    Notes
    -----
    A state is a frozen dataclass whose fields are tensors, numbers, and where it lives: ``domain`` or ``grid``.  Its
    constructor takes them by name and checks them, so that a file can hold them.  It has ``weights`` and ``support``
    of a quadrature, and :attr:`atoms`.  A state that is moved atom by atom also has :meth:`placed`.  Built from tensors
    that require gradients it is in torch's record, and so are its energies; steps, flows, files work on its numbers.
    """

    remedy = "build it by jko.Particles(points)"
    domain: Domain | None

    @property
    @abstractmethod
    def atoms(self) -> Particles:
        """The measure, or the lift of the pair, as atoms in the order of ``weights``, some perhaps without mass."""

    @property
    def dim(self) -> int:
        """Dimension of the space of the atoms."""
        return self.support.shape[1]

    @property
    def is_finite(self) -> bool:
        """Whether the mass is somewhere: no coordinate is infinite or NaN."""
        return self.every(torch.isfinite(self.atoms.points))

    def placed(self, points: Tensor) -> State:
        """A state of the same kind, weights and domain with its atoms at ``points`` (N, dim); trusted, not checked."""
        raise TypeError(
            f"a {type(self).__name__} has no atoms to place; its own solver moves it, and its schemes do: of second "
            "order jko.Strang() for a ChargedSpan"
        )

    def _facts(self) -> dict[str, Any]:
        return looks.facts(self)

    def _picture(self) -> str:
        return looks.of_atoms(self.atoms.points)

    def weighed(self, masses: Tensor) -> State:
        """A state of the same kind and places with other masses (N,), some perhaps zero; trusted, not checked."""
        raise TypeError(f"a {type(self).__name__} keeps its masses; a jko.GridDensity does not")

    def to_particles(self) -> Particles | ChargedParticles:
        """An atom for each cell, node or point that holds mass; of a pair (rho, H), the pair of them."""
        full = self.weights > 0
        return Particles(self.support[full], self.weights[full] / self.mass, self.domain)


@dataclass(frozen=True, eq=False)
class Particles(State):
    """An atomic probability measure ``mu = sum_i weights[i] delta_{points[i]}`` on R^dim.

    Parameters
    ----------
    points : (N, dim)
        Positions of the atoms.  For a network: column 0 is w, the others theta.
    weights : (N,), optional
        Masses, positive, with sum one; default 1/N each.
    domain : Domain, optional
        Closed convex set that holds the atoms; steps keep them there, as (3.11) does.  A torus wraps them.

    Raises
    ------
    ValueError
        Wrong shapes, numbers that are not finite, weights that are no probability, atoms outside the domain.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[0.0], [1.0]])
    >>> float(mu.integrate(mu.points**2))
    0.5
    """

    remedy = State.remedy
    points: Tensor
    weights: Tensor
    domain: Domain | None

    def __init__(self, points: Any, weights: Any = None, domain: Domain | None = None) -> None:
        points = checks.shape("points", checks.owned("points", points), ("N", "dim"))
        weights = checks.weights("weights", weights, len(points), points)
        check_inside("points", points, domain)
        self._fill(points=wrapped(points, domain), weights=weights, domain=domain)

    @classmethod
    def of(cls, points: Tensor, weights: Tensor, domain: Domain | None = None) -> Particles:
        """The same without checks, weights may be zero: for the measures that are read as atoms."""
        return cls._made(points=recordable(points), weights=recordable(weights), domain=domain)

    @classmethod
    def normal(
        cls, N: int, dim: int, *, generator: torch.Generator, scale: float = 1.0
    ) -> Particles:
        """N independent atoms from the normal law with mean zero and covariance scale^2 I."""
        return cls(sampling.normal(N, dim, generator, scale))

    @classmethod
    def uniform(cls, N: int, box: Box | Torus, *, generator: torch.Generator) -> Particles:
        """N independent atoms, uniform on a bounded box or torus, which becomes the domain."""
        return cls(sampling.uniform(N, box, generator), domain=box)

    @property
    def atoms(self) -> Particles:
        """The measure itself."""
        return self

    @property
    def support(self) -> Tensor:
        """The points."""
        return self.points

    def integrate_blocks(self, function: Callable[[Particles], Tensor], rows: int) -> Tensor:
        """The sum of ``function`` over :meth:`blocks`, each block's integral: so that memory stays bounded."""
        return reduce(Tensor.add_, map(function, self.blocks(rows)))

    def blocks(self, rows: int) -> Iterator[Particles]:
        """The measure cut in pieces of at most ``rows`` consecutive atoms; masses stay as they are."""
        return map(Particles.of, self.points.split(rows), self.weights.split(rows))

    def moved(self, points: Tensor) -> Particles:
        """The push-forward T_# mu with T(points[i]) given; trusted, not checked: for use inside loops."""
        return self._with(points=recordable(wrapped(points, self.domain)))

    placed = moved

    def weighed(self, masses: Tensor) -> Particles:
        """The same atoms with other masses."""
        return self._with(weights=masses.to(self.weights))

    def to_particles(self) -> Particles:
        """The measure itself."""
        return self

    def project(self) -> ChargedParticles:
        """The pair (rho, H) of section 2.3: mass merged at equal theta, H the conditional mean of w.

        ``H(theta) = int w nu_theta(dw)`` where ``mu = nu_theta(dw) rho(dtheta)``.  By Jensen this never raises F
        for a potential convex in w: ``F(mu) - G(rho, H) = lam/2 E Var(w | theta)`` for ``V = lam |xi|^2 / 2``.
        Atoms keep the order in which their theta first appears. Source: survey section 2.3.
        """
        self.refuse_part("merging atoms at one theta")
        if self.dim < 2:
            raise ValueError(
                "the points have one coordinate; (rho, H) needs xi = (w, theta) with at least two"
            )
        theta, H, mass = merged(self.points[:, 1:], self.points[:, 0], self.weights)
        return ChargedParticles(theta, H, mass, base_of(self.domain))


class Lifted(State):
    """A pair (rho, H), which is read off its lift: ``support``, ``weights`` and ``domain`` are those of rho."""

    @property
    def d(self) -> int:
        """Dimension of Theta."""
        return self.support.shape[1]

    @property
    def dim(self) -> int:
        """Dimension of the lift's space R x Theta."""
        return self.d + 1

    def to_particles(self) -> ChargedParticles:
        """The pair of the atoms that hold mass."""
        return ChargedParticles.of_lift(self.atoms, self.domain)

    def lift(self) -> Particles:
        """The graph lift ``(id, H)_# rho``, with an atom where there is mass. Source: survey section 2.3."""
        return self.to_particles().atoms


class Pair(Lifted):
    """A probability measure rho on Theta with numbers H, one for each atom, node or cell: it moves in D (Remark 3.4).

    Notes
    -----
    That of a :class:`State`, whose ``support`` and ``domain`` are those of rho, and H, numbers in the same order.
    """

    H: Tensor

    @cached
    def atoms(self) -> Particles:
        """The lift: atoms (H[i], theta[i])."""
        points = torch.cat([self.H.reshape(-1, 1), self.support], dim=1)
        return Particles.of(points, self.weights, cylinder(self.domain))


@dataclass(frozen=True, eq=False)
class ChargedParticles(Pair):
    """A probability measure rho on Theta with a function H on its support.

    Parameters
    ----------
    theta : (N, d)
        Positions of the atoms of rho.
    H : (N,)
        Charges, ``H[i] = H(theta[i])``.
    weights : (N,), optional
        Masses of the atoms, positive, with sum one; default 1/N each.
    domain : Domain, optional
        Closed convex Theta that holds ``theta``.

    Raises
    ------
    ValueError
        As for :class:`Particles`; also two atoms at one theta with different H, which is no function of theta.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedParticles([[0.0], [1.0]], [2.0, -2.0])
    >>> pair.lift().points[0].tolist()
    [2.0, 0.0]
    """

    theta: Tensor
    H: Tensor
    weights: Tensor
    domain: Domain | None

    def __init__(
        self, theta: Any, H: Any, weights: Any = None, domain: Domain | None = None
    ) -> None:
        theta = checks.shape("theta", checks.owned("theta", theta), ("N", "d"))
        H = checks.shape("H", checks.owned("H", H, theta, "theta"), (len(theta),))
        weights = checks.weights("weights", weights, len(theta), theta)
        check_inside("theta", theta, domain)
        theta = wrapped(theta, domain)
        check_graph(theta, H)
        self._fill(theta=theta, H=H, weights=weights, domain=domain)

    @classmethod
    def of_lift(cls, lift: Particles, domain: Domain | None) -> ChargedParticles:
        """The pair whose lift these atoms are, without those that hold no mass."""
        checks.kind("lift", lift, Particles, hint="atoms (H, theta)")
        full = lift.weights > 0
        xi = lift.points[full]
        return cls(xi[:, 1:], xi[:, 0], lift.weights[full] / lift.mass, domain)

    def moved(self, theta: Tensor, H: Tensor) -> ChargedParticles:
        """The same masses at other theta with other charges; trusted, but for H a function of theta."""
        theta = wrapped(theta, self.domain)
        check_graph(theta, H)
        return self._with(theta=theta, H=H)

    def placed(self, points: Tensor) -> ChargedParticles:
        """The pair whose lift has its atoms at ``points`` (N, dim)."""
        return self.moved(points[:, 1:], points[:, 0])

    @property
    def support(self) -> Tensor:
        """The positions theta."""
        return self.theta

    def to_particles(self) -> ChargedParticles:
        """The pair itself."""
        return self

    def signed_measure(self) -> Tensor:
        """Masses of the signed measure m = H rho on the atoms theta, shape (N,). Source: survey section 2.3."""
        return self.weights * self.H
