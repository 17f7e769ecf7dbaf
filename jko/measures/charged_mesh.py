"""The pair (rho, H) on the line in Lagrangian coordinates: nodes that carry mass and charge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from jko import checks
from jko.measures.charged import ChargedDensity
from jko.measures.density import OnCells
from jko.measures.mesh import LineMesh, check_cells, filled
from jko.measures.state import Pair
from jko.spaces import Domain, Grid, cached

INCREASING = (
    "the nodes must increase: a mesh is a graph over Theta. Where characteristics cross, use "
    "jko.ChargedParticles"
)
FUNCTION = "it maps points (n, 1) to numbers (n,)"
GAUSS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, eq=False)
class ChargedMesh(Pair, OnCells):
    """Nodes ``theta[i]`` with masses ``weights[i]`` and charges ``H[i]``, and the mass between neighbours.

    The nodes are a quadrature of rho: risks, potentials and the metric D see atoms.  Between the nodes i and i + 1 rho
    has the density ``masses[i] / (theta[i + 1] - theta[i])``: internal energies see that.

    Parameters
    ----------
    theta : (N,)
        Increasing.
    H : (N,)
        Charges, ``H[i] = H(theta[i])``.
    masses : (N - 1,)
        Mass between neighbours, positive, with sum one.
    weights : (N,), optional
        Masses of the nodes, positive, with sum one; default: half of each cell goes to either end.  On a uniform mesh
        that decays to both sides, masses proportional to rho(theta[i]) are far more accurate:
        :meth:`from_function`.
    domain : Box of one dimension, optional
        An interval that holds the nodes; steps keep them there.

    Raises
    ------
    ValueError
        Wrong shapes, numbers that are not finite, nodes out of order, masses that are no probability.

    Examples
    --------
    >>> import jko
    >>> mesh = jko.ChargedMesh([0.0, 0.5, 2.0], [1.0, 0.0, 1.0], [0.5, 0.5])
    >>> mesh.weights.tolist()
    [0.25, 0.5, 0.25]
    """

    theta: Tensor
    H: Tensor
    masses: Tensor
    weights: Tensor
    domain: Domain | None

    def __init__(
        self, theta: Any, H: Any, masses: Any, weights: Any = None, domain: Domain | None = None
    ) -> None:
        theta = checks.shape("theta", checks.owned("theta", theta), ("N",))
        if len(theta) < 2:
            raise ValueError("theta has one node; a mesh needs at least two")
        H = checks.shape("H", checks.owned("H", H, theta, "theta"), (len(theta),))
        masses = checks.weights("masses", masses, len(theta) - 1, theta)
        if weights is None:
            weights = 0.5 * _beside(masses)
        weights = checks.weights("weights", weights, len(theta), theta)
        check_cells("theta", theta, masses, domain, INCREASING)
        self._fill(theta=theta, H=H, masses=masses, weights=weights, domain=domain)

    @classmethod
    def from_function(
        cls,
        density: Callable[[Tensor], Tensor],
        H: Callable[[Tensor], Tensor],
        bounds: tuple[float, float],
        N: int,
        domain: Domain | None = None,
    ) -> ChargedMesh:
        """N equidistant nodes from ``bounds[0]`` to ``bounds[1]``, rho proportional to ``density``.

        Both functions take points (n, 1) and return (n,).  The nodes get the weights of the trapezoidal rule, and the
        cells the integral of rho by Gauss's rule with eight points.

        Examples
        --------
        >>> import jko
        >>> mesh = jko.ChargedMesh.from_function(
        ...     lambda x: (-0.5 * x[:, 0] ** 2).exp(), lambda x: x[:, 0], (-6.0, 6.0), 50
        ... )
        >>> round(float(mesh.integrate(mesh.H**2)), 6)
        1.0
        """
        lower, upper = checks.interval("bounds", bounds)
        checks.count("N", N, 2, checks.ENTRIES)
        checks.function("density", density, hint=FUNCTION)
        checks.function("H", H, hint=FUNCTION)
        theta = torch.linspace(lower, upper, N, dtype=torch.float64, device="cpu")
        x, w = (torch.from_numpy(part) for part in GAUSS)
        half = 0.5 * (upper - lower) / (N - 1)
        points = (theta[:-1, None] + half * (1 + x)).reshape(-1, 1)
        what, at = "the density function", theta[:, None]
        masses = checks.unit(what, checks.values(what, density, points)).reshape(N - 1, -1) @ w
        weights = checks.unit(what, checks.values(what, density, at)).clone()
        weights[[0, -1]] *= 0.5
        charge = checks.values("the function H", H, at)
        return cls(theta, charge, masses / masses.sum(), weights / weights.sum(), domain)

    def _facts(self) -> dict[str, Any]:
        return {"nodes": self.N, "on": f"{self.theta[0]:g} .. {self.theta[-1]:g}"}

    @property
    def support(self) -> Tensor:
        """The nodes, (N, 1)."""
        return self.theta[:, None]

    @cached
    def volumes(self) -> Tensor:
        """Lengths between neighbours, (N - 1,)."""
        return self.theta.diff()

    @cached
    def values(self) -> Tensor:
        """The density between neighbours, (N - 1,)."""
        return self.masses / self.volumes

    def spread(self, values: Tensor) -> Tensor:
        """Numbers per cell (N - 1,) as numbers per node (N,): the mean over the cells beside it, by their masses."""
        return _beside(self.masses * values) / _beside(self.masses)

    def moved(self, theta: Tensor, H: Tensor) -> ChargedMesh:
        """The same masses at new nodes with new charges; trusted, not checked: for use inside loops."""
        return self._with(theta=theta, H=H)

    def placed(self, points: Tensor) -> ChargedMesh:
        """The pair whose lift has its atoms at ``points`` (N, 2)."""
        return self.moved(points[:, 1], points[:, 0])

    @classmethod
    def from_density(cls, pair: ChargedDensity) -> ChargedMesh:
        """Nodes on the faces of the cells that hold mass, d = 1; H on a face is the mean of its two cells.

        Raises
        ------
        ValueError
            Another dimension; fewer than two cells with mass, or an empty cell between two that hold mass.
        """
        checks.kind("pair", pair, ChargedDensity)
        if pair.d != 1:
            raise ValueError(f"the pair has d = {pair.d}; a ChargedMesh has d = 1")
        full, theta = filled(pair)
        if len(theta) < 3 or not bool((pair.weights[full] > 0).all()):
            raise ValueError(
                "a mesh needs two neighbouring cells with mass or more, and none that is empty between them; "
                "use particles: pair.to_particles()"
            )
        H = pair.H[full]
        ends = 1.5 * H[:1] - 0.5 * H[1:2], 1.5 * H[-1:] - 0.5 * H[-2:-1]
        charge = torch.cat([ends[0], 0.5 * (H[1:] + H[:-1]), ends[1]])
        return cls(theta, charge, pair.weights[full] / pair.mass, domain=pair.domain)

    def to_density(self, grid: Grid) -> ChargedDensity:
        """The mass of each cell of ``grid`` (d = 1), which must hold the mesh, and the mean of H against it.

        H is linear between the nodes; where no mass is it is NaN.  Mass and ``int H drho`` between the nodes are exact.
        """
        checks.kind("grid", grid, Grid)
        line = LineMesh(self.theta, self.masses).to_density(grid)
        faces = grid.faces[0].to(self.theta)
        cell = (torch.searchsorted(self.theta, faces, right=True) - 1).clamp(0, self.N - 2)
        s = ((faces - self.theta[cell]) / self.volumes[cell]).clamp(0, 1)
        rise = self.H.diff()
        whole = self.masses * (self.H[:-1] + 0.5 * rise)
        below = torch.cat([whole.new_zeros(1), whole.cumsum(0)])
        part = self.masses[cell] * (self.H[cell] * s + 0.5 * rise[cell] * s * s)
        charge = (below[cell] + part).diff() / grid.cell
        H = torch.where(line.values > 0, charge / line.values, torch.nan)
        return ChargedDensity(grid, line.values, H)


def _beside(cells: Tensor) -> Tensor:
    """For each node the sum over the cells beside it."""
    return pad(cells, (0, 1)) + pad(cells, (1, 0))
