"""Atoms: the measure mu = sum_i m_i delta_{xi_i}, and the pair (rho, H) of atoms with charges.

For a shallow network xi = (w, theta) and Omega = R x Theta, so column 0 of ``points`` is w and the others are
theta (survey 2.1).  Equal weights 1/N are the empirical measure mu_N of the survey.

Everything about a pair (rho, H) is read off its graph lift ``(id, H)_# rho`` on R x Theta (survey 2.3):
G(rho, H) = F(lift) and D = W2 between lifts, so no other file needs to know this kind of state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import recordable
from jko.measures.atoms import Atoms
from jko.measures.labels import first_rows, labels
from jko.spaces import Box, Cylinder, Domain, cached

GENERATOR = "pass torch.Generator().manual_seed(0)"


@dataclass(frozen=True, eq=False)
class Particles(Atoms):
    """An atomic probability measure ``mu = sum_i weights[i] delta_{points[i]}`` on R^dim.

    Parameters
    ----------
    points : (N, dim)
        Positions of the atoms.  For a network: column 0 is w, the others theta.
    weights : (N,), optional
        Masses, positive, with sum one; default 1/N each.
    domain : Domain, optional
        Closed convex set that holds the atoms; steps keep them there, as (3.11) does.

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

    points: Tensor
    weights: Tensor
    domain: Domain | None

    def __init__(self, points: Any, weights: Any = None, domain: Domain | None = None) -> None:
        points = checks.shape("points", checks.owned("points", points), ("N", "dim"))
        weights = checks.weights("weights", weights, len(points), points)
        if domain is not None:
            checks.kind(
                "domain", domain, Domain, hint="use jko.Box, jko.Ball or jko.Convex(projection)"
            )
            domain.check("points", points)
        self._fill(points, weights, domain)

    def _fill(self, points: Tensor, weights: Tensor, domain: Domain | None) -> None:
        object.__setattr__(self, "points", recordable(points))
        object.__setattr__(self, "weights", recordable(weights))
        object.__setattr__(self, "domain", domain)

    @classmethod
    def of(cls, points: Tensor, weights: Tensor, domain: Domain | None = None) -> Particles:
        """The same without checks, weights may be zero: for the measures that are read as atoms."""
        result = object.__new__(cls)
        result._fill(points, weights, domain)
        return result

    @classmethod
    def normal(
        cls, N: int, dim: int, *, generator: torch.Generator, scale: float = 1.0
    ) -> Particles:
        """N independent atoms from the normal law with mean zero and covariance scale^2 I."""
        checks.kind("generator", generator, torch.Generator, hint=GENERATOR)
        shape, scale = checks.size(N=N, dim=dim), checks.number("scale", scale, least=0)
        like: dict[str, Any] = {"dtype": torch.float64, "device": generator.device}
        return cls(scale * torch.randn(shape, generator=generator, **like))

    @classmethod
    def uniform(cls, N: int, box: Box, *, generator: torch.Generator) -> Particles:
        """N independent atoms, uniform on a bounded box, which becomes the domain."""
        checks.kind("box", box, Box, hint="build it by jko.Box(lower, upper)")
        checks.kind("generator", generator, torch.Generator, hint=GENERATOR)
        lower, upper = box.lower.to(generator.device), box.upper.to(generator.device)
        if not bool(torch.isfinite(upper - lower).all()):
            raise ValueError(f"{box!r} is unbounded; a uniform law needs finite bounds")
        like: dict[str, Any] = {"dtype": torch.float64, "device": generator.device}
        unit = torch.rand(checks.size(N=N, dim=box.dim), generator=generator, **like)
        return cls(lower + (upper - lower) * unit, domain=box)

    def __repr__(self) -> str:
        weights = "equal weights" if self.has_equal_weights else "unequal weights"
        where = "" if self.domain is None else f", {self.domain!r}"
        return f"Particles(N={self.N}, dim={self.dim}, {weights}{where})"

    @property
    def support(self) -> Tensor:
        """The points."""
        return self.points

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.points.shape[1]

    def integrate_blocks(self, function: Callable[[Particles], Tensor], rows: int) -> Tensor:
        """The integral of ``function``, evaluated on ``rows`` atoms at a time, so that memory stays bounded.

        ``function`` maps a block of this measure (its atoms with their masses) to that block's integral.
        """
        total: Tensor | None = None
        for block in self.blocks(rows):
            part = function(block)
            total = part if total is None else total.add_(part)
        assert total is not None
        return total

    def blocks(self, rows: int) -> Iterator[Particles]:
        """The measure cut in pieces of at most ``rows`` consecutive atoms; masses stay as they are."""
        for start in range(0, self.N, rows):
            rows_ = slice(start, start + rows)
            yield Particles.of(self.points[rows_], self.weights[rows_])

    def moved(self, points: Tensor) -> Particles:
        """The push-forward T_# mu with T(points[i]) given; trusted, not checked: for use inside loops."""
        return Particles.of(points, self.weights, self.domain)

    def project(self) -> ChargedParticles:
        """The pair (rho, H) of section 2.3: mass merged at equal theta, H the conditional mean of w.

        ``H(theta) = int w nu_theta(dw)`` where ``mu = nu_theta(dw) rho(dtheta)``.  By Jensen this never raises F
        for a potential convex in w: ``F(mu) - G(rho, H) = lam/2 E Var(w | theta)`` for ``V = lam |xi|^2 / 2``.
        Atoms keep the order in which their theta first appears.

        Source: survey section 2.3.
        """
        if self.dim < 2:
            raise ValueError(
                "the points have one coordinate; (rho, H) needs xi = (w, theta) with at least two"
            )
        w, theta = self.points[:, 0], self.points[:, 1:]
        label = labels(theta)
        first, count = first_rows(label), int(label.max()) + 1
        mass = torch.zeros(count, dtype=w.dtype, device=w.device).index_add_(0, label, self.weights)
        H = torch.zeros_like(mass).index_add_(0, label, self.weights * w) / mass
        single = torch.bincount(label, minlength=count) == 1
        H = torch.where(single, w[first], H)  # no rounding where nothing is merged
        return ChargedParticles(theta[first], H, mass, _base(self.domain))


@dataclass(frozen=True, eq=False)
class ChargedParticles(Atoms):
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
        if domain is not None:
            checks.kind(
                "domain", domain, Domain, hint="use jko.Box, jko.Ball or jko.Convex(projection)"
            )
            domain.check("theta", theta)
        self._fill(theta, H, weights, domain)

    def _fill(self, theta: Tensor, H: Tensor, weights: Tensor, domain: Domain | None) -> None:
        _check_graph(theta, H)
        for name, value in (("theta", theta), ("H", H), ("weights", weights), ("domain", domain)):
            object.__setattr__(self, name, value)

    def moved(self, theta: Tensor, H: Tensor) -> ChargedParticles:
        """The same masses at other theta with other charges; trusted, but H must still be a function of theta."""
        result = object.__new__(ChargedParticles)
        result._fill(theta, H, self.weights, self.domain)
        return result

    def __repr__(self) -> str:
        return f"ChargedParticles(N={self.N}, d={self.d})"

    @property
    def support(self) -> Tensor:
        """The positions theta."""
        return self.theta

    @property
    def d(self) -> int:
        """Dimension of Theta."""
        return self.theta.shape[1]

    @property
    def dim(self) -> int:
        """Dimension of the lift's space R x Theta."""
        return self.d + 1

    def lift(self) -> Particles:
        """The graph lift ``(id, H)_# rho`` on R x Theta: atoms (H[i], theta[i]). Source: survey section 2.3."""
        return self._lifted

    @cached
    def _lifted(self) -> Particles:
        points = torch.cat([self.H[:, None], self.theta], dim=1)
        domain = None if self.domain is None else cylinder(self.domain)
        return Particles.of(points, self.weights, domain)

    def signed_measure(self) -> Tensor:
        """Masses of the signed measure m = H rho on the atoms theta, shape (N,). Source: survey section 2.3."""
        return self.weights * self.H


def cylinder(base: Domain) -> Domain:
    """R x base: a box stays a box."""
    if isinstance(base, Box):
        line = torch.full((1,), torch.inf, dtype=torch.float64, device=base.lower.device)
        return Box(torch.cat([-line, base.lower]), torch.cat([line, base.upper]))
    return Cylinder(base)


def _base(domain: Domain | None) -> Domain | None:
    if isinstance(domain, Cylinder):
        return domain.base
    if isinstance(domain, Box) and domain.dim > 1:
        return Box(domain.lower[1:], domain.upper[1:])
    if domain is None:
        return None
    raise ValueError(
        f"{domain!r} is not of the form R x Theta, so it has no projection to Theta; use jko.Cylinder"
    )


def _check_graph(theta: Tensor, H: Tensor) -> None:
    """Refuse two atoms at one theta with different H."""
    label = labels(theta)
    count = int(label.max()) + 1
    if count == len(theta):
        return
    low = torch.full((count,), torch.inf, dtype=H.dtype, device=H.device).scatter_reduce_(
        0, label, H, "amin"
    )
    high = torch.full((count,), -torch.inf, dtype=H.dtype, device=H.device).scatter_reduce_(
        0, label, H, "amax"
    )
    if bool((low < high).any()):
        bad = int((high - low).argmax())
        rows = torch.nonzero(label == bad).flatten()[:5].tolist()
        raise ValueError(
            f"the atoms in rows {rows} sit at one theta with different H (from {float(low[bad]):g} to "
            f"{float(high[bad]):g}), so H is not a function of theta; "
            "keep them as jko.Particles(points), whose .project() merges them with the mean of H"
        )
