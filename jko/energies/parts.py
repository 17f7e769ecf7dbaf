"""An energy on a fixed set of atoms, sorted by what a convex solver can do with its terms.

On the cells of a grid the unknown of a step is the vector of masses m, and every energy of the survey is

``E(m) = V . m  +  sum_K volume_K sum_i c_i U_i(m_K / volume_K)  +  1/2 |A m - b|^2  +  rest``
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from jko import checks
from jko.energies.base import Energy
from jko.energies.directions import main_directions
from jko.energies.interaction import Interaction
from jko.energies.internal import Internal
from jko.energies.mixture import Mixture
from jko.energies.potential import Linear
from jko.energies.risk import Risk
from jko.energies.terms import joined, negative, positive, sorted_terms
from jko.measures import GridDensity, LineMesh, State


@dataclass(frozen=True, eq=False)
class Parts:
    """An energy as a function of the masses m of the N atoms of ``state.atoms``, term by term.

    Attributes
    ----------
    potential : (N,)
        V, all linear terms; +inf where no mass may be.
    internal : tuple of (c, Internal)
        Internal energies with coefficients c > 0.
    features, targets : (r, N), (r,) or None
        A and b: all risks of the squared loss together are ``1/2 |A m - b|^2 + constant`` with m the masses.
    rest : Energy or None
        What is none of these: interactions, risks of other losses, energies of the user, negative coefficients.
    volumes : (N,) or None
        Of the cells that the atoms stand for, where there are internal energies.
    state : State or None
        Where the atoms are; the rest is evaluated there.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[1.0], [3.0]])
    >>> found = jko.energies.parts(jko.SquaredNorm() + jko.Interaction(lambda z: z[:, 0] ** 2), mu)
    >>> found.potential.tolist()
    [0.5, 4.5]
    """

    potential: Tensor
    internal: tuple[tuple[float, Internal], ...]
    features: Tensor | None = None
    targets: Tensor | None = None
    rest: Energy | None = None
    constant: float = 0.0
    volumes: Tensor | None = None
    state: State | None = None

    @cached_property
    def mixture(self) -> Mixture:
        """The internal energies as one."""
        return Mixture.of(self.internal)

    @property
    def A(self) -> Tensor:
        """The features, (r, N); r = 0 without a risk."""
        V = self.potential
        return V.new_zeros(0, len(V)) if self.features is None else self.features

    @property
    def b(self) -> Tensor:
        """The targets, (r,); r = 0 without a risk."""
        return self.potential.new_zeros(0) if self.targets is None else self.targets

    def residual(self, m: Tensor) -> Tensor:
        """``A m - b``, (r,)."""
        return self.A @ m - self.b

    def value(self, m: Tensor) -> float:
        """``E(m)``; a cell without mass pays no potential."""
        return self.local(m) + self.beyond(m)

    def local(self, m: Tensor) -> float:
        """``V . m`` and the internal energies: sums over the cells."""
        total = float(m @ self.potential.masked_fill(m == 0, 0))
        if self.internal:
            assert self.volumes is not None
            total += float(self.volumes @ self.mixture.U(m / self.volumes))
        return total

    def beyond(self, m: Tensor) -> float:
        """What else there is: constant, risks, and the rest."""
        total = self.constant
        if self.features is not None:
            total += 0.5 * float(self.residual(m).square().sum())
        return total if self.rest is None else total + float(self.rest(self.measure(m)).detach())

    def slope(self, m: Tensor) -> Tensor:
        """``V + U'(m / volume) + A^T (A m - b) + the variation of the rest``, (N,), infinite values allowed."""
        total = self.potential
        if self.internal:
            assert self.volumes is not None
            total = total + self.mixture.slope(m / self.volumes)
        if self.features is not None:
            total = total + self.features.T @ self.residual(m)
        return total if self.rest is None else total + self.slope_of_rest(m)

    def slope_of_rest(self, m: Tensor) -> Tensor:
        """The first variation of the rest alone, (N,)."""
        if self.rest is None:
            return torch.zeros_like(m)
        return self.rest.variation(self.measure(m)).detach().to(m)

    def measure(self, m: Tensor) -> State:
        """The measure with these masses, atoms without mass included."""
        return checks.kind("the state", self.state, State).weighed(m)

    def on_cells(self) -> Parts:
        """The same of the masses of cells: the mean over the atoms of each, of which a mesh has two."""
        if not isinstance(self.state, LineMesh):
            return self
        cells, A = len(self.state.masses), self.features
        return replace(
            self,
            potential=per_cell(self.potential, cells),
            features=None if A is None else per_cell(A, cells),
            volumes=self.state.volumes,
        )

    def tabulated(self) -> Parts:
        """The same, with the kernels of interactions on a grid transformed once and for all."""
        if self.rest is None or not isinstance(self.state, GridDensity):
            return self
        grid, like = self.state.grid, self.state.values
        terms = (
            (c, E.tabulated(grid, like) if isinstance(E, Interaction) else E)
            for c, E in self.rest.terms
        )
        return replace(self, rest=joined(terms))

    def compressed(self, rtol: float = 1e-7) -> Parts:
        """The risk with as few rows as its features have singular values above ``rtol`` times the largest.

        ``A = W diag(s) Z``: only the part of A m - b in the span of the columns of W moves; the rest of |b|^2 / 2 goes
        to ``constant``.
        """
        if self.features is None or self.targets is None:
            return self
        A, b = self.features, self.targets
        W = main_directions(A, rtol)
        target = W.T @ b
        outside = 0.5 * float(b @ b - target @ target)
        return replace(
            self, features=W.T @ A, targets=target, constant=self.constant + max(outside, 0.0)
        )


def per_cell(values: Tensor, cells: int) -> Tensor:
    """Means over each cell of numbers (..., atoms) on the atoms, which stand cell by cell."""
    return values.unflatten(-1, (cells, -1)).mean(-1)


def parts(energy: Energy, state: State) -> Parts:
    """Sort the terms of ``energy``, read on the atoms of ``state.atoms``.

    Raises
    ------
    ValueError
        A risk whose dimension is not that of the state; a potential that is +inf everywhere or NaN.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[1.0], [3.0]])
    >>> jko.energies.parts(2 * jko.SquaredNorm(), mu).potential.tolist()  # V at the atoms
    [1.0, 9.0]
    """
    mu, terms = state.atoms, sorted_terms(energy)
    terms.mixture.suits(state.dim)
    mu.refuse_part("a solver whose unknowns are the masses")
    V = torch.zeros_like(mu.weights)
    with torch.no_grad():
        for c, E in terms.linear:
            V = V + c * E.variation(state)
    check_obstacles(V, state)
    risks, internal = positive(terms.quadratic), positive(terms.internal)
    rest = (
        *negative(terms.quadratic),
        *terms.curved,
        *negative(terms.internal),
        *terms.without(Linear, Internal, Risk),
    )
    A = b = volumes = None
    if risks:
        A = torch.cat([_features(c, R, state) for c, R in risks])
        b = torch.cat([(c * R.data.quadrature).sqrt() * R.data.values for c, R in risks])
    if isinstance(state, GridDensity):
        volumes = state.volumes
    elif isinstance(state, LineMesh):
        volumes = state.spread(state.volumes) / 2
    return Parts(V, internal, A, b, joined(rest), volumes=volumes, state=state)


def _features(c: float, risk: Risk, state: State) -> Tensor:
    """``sqrt(c q_m) Phi(x_i, x_m)``, shape (M k, N)."""
    mu = risk.neurons(state)
    try:
        with torch.no_grad():
            values = torch.cat(
                [
                    risk.features(z, risk.data.x)
                    for z in mu.points.split(max(1, 2**20 // risk.data.f.numel()))
                ]
            )
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"the features of {type(risk).__name__} cannot be evaluated on a state of dimension {mu.dim}, for inputs "
            f"with n = {risk.data.n}: {error}. For Phi = w h(theta, x) the first axis is w, the others theta"
        ) from error
    return ((c * risk.data.quadrature).sqrt()[:, None] * values.T).contiguous()


def check_obstacles(V: Tensor, state: State) -> None:
    """Refuse potentials that are no potentials, and mass in obstacles.

    Examples
    --------
    >>> import jko, torch
    >>> rho = jko.GridDensity(jko.Grid((0.0, 1.0), 2), [1.0, 1.0])
    >>> try:
    ...     jko.energies.check_obstacles(torch.tensor([0.0, float("inf")]).double(), rho)
    ... except ValueError:
    ...     print("mass in a wall")
    mass in a wall
    """
    if bool(torch.isnan(V).any()) or bool(torch.isneginf(V).any()):
        raise ValueError(
            "the potential is NaN or -inf somewhere on the state's cells; +inf (an obstacle) is allowed, nothing else"
        )
    blocked = torch.isposinf(V)
    if bool(blocked.all()):
        raise ValueError("the potential is +inf everywhere: there is no place for mass")
    if isinstance(state, GridDensity):
        inside = float(state.weights[blocked].sum())
        if inside > 0:
            raise ValueError(
                f"mass {inside:g} of the state lies where the potential is +inf (an obstacle), so the energy is +inf; "
                "set those cells to zero and normalise"
            )
