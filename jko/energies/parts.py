"""An energy on a fixed set of atoms, sorted by what a convex solver can do with its terms.

On the cells of a grid the unknown of a step is the vector of masses m, and every energy of the survey is

``E(m) = V . m  +  sum_K volume_K sum_i c_i U_i(m_K / volume_K)  +  1/2 |A m - b|^2  +  rest``
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from jko.energies.base import Energy, Scaled, Sum
from jko.energies.internal import Internal
from jko.energies.potential import Linear
from jko.energies.risk import Risk
from jko.measures import GridDensity, State


@dataclass(frozen=True, eq=False)
class Parts:
    """The terms of an energy on the atoms of ``state.atoms``.

    Attributes
    ----------
    potential : (N,)
        V, all linear terms; +inf where no mass may be.
    internal : tuple of (c, Internal)
        Internal energies with coefficients c > 0.
    features, targets : (r, N), (r,) or None
        A and b: all risks together are ``1/2 |A m - b|^2 + constant`` with m the masses.
    rest : Energy or None
        What is none of these: interactions, energies of the user, negative coefficients.
    """

    potential: Tensor
    internal: tuple[tuple[float, Internal], ...]
    features: Tensor | None = None
    targets: Tensor | None = None
    rest: Energy | None = None
    constant: float = 0.0

    def compressed(self, rtol: float = 1e-7) -> Parts:
        """The risk with as few rows as its features have singular values above ``rtol`` times the largest.

        Below 1e-8 they are rounding, since they come from A A^T.

        ``A = W diag(s) Z``: only the part of A m - b in the span of the columns of W moves; the rest of |b|^2 / 2 goes
        to ``constant``.
        """
        if self.features is None or self.targets is None:
            return self
        A, b = self.features, self.targets
        square, W = torch.linalg.eigh(A @ A.T)  # ascending
        W = W[:, square > rtol**2 * square[-1]]
        target = W.T @ b
        outside = 0.5 * float(b @ b - target @ target)
        return replace(
            self, features=W.T @ A, targets=target, constant=self.constant + max(outside, 0.0)
        )


def parts(energy: Energy, state: State) -> Parts:
    """Sort the terms of ``energy``, read on the atoms of ``state.atoms``.

    Raises
    ------
    ValueError
        A risk whose dimension is not that of the state; a potential that is +inf everywhere or NaN.
    """
    mu = state.atoms
    V = torch.zeros_like(mu.weights)
    internal: list[tuple[float, Internal]] = []
    risks: list[tuple[float, Risk]] = []
    rest: list[Energy] = []
    for c, E in energy.terms:
        if isinstance(E, Linear):
            V = V + _linear(c, E, state)
        elif isinstance(E, Internal) and c > 0:
            internal.append((c, E))
        elif isinstance(E, Risk) and c > 0:
            risks.append((c, E))
        elif c != 0:
            rest.append(Scaled(c, E))
    check_obstacles(V, state)
    A = b = None
    if risks:
        A = torch.cat([_features(c, R, state) for c, R in risks])
        b = torch.cat([(c * R.data.weights).sqrt() * R.data.f for c, R in risks])
    return Parts(V, tuple(internal), A, b, Sum(tuple(rest)) if rest else None)


def _linear(c: float, E: Linear, state: State) -> Tensor:
    with torch.no_grad():
        V = E.variation(state)
    return torch.zeros_like(V) if c == 0 else c * V


def _features(c: float, risk: Risk, state: State) -> Tensor:
    """Sqrt(c q_m) Phi(x_i, x_m), shape (M, N)."""
    mu = state.atoms
    try:
        with torch.no_grad():
            values = torch.cat(
                [
                    risk.features(z, risk.data.x)
                    for z in mu.points.split(max(1, 2**20 // risk.data.M))
                ]
            )
    except (RuntimeError, IndexError) as error:
        raise ValueError(
            f"the features of {type(risk).__name__} cannot be evaluated on a state of dimension {mu.dim}, for inputs "
            f"with n = {risk.data.n}: {error}. For Phi = w h(theta, x) the first axis is w, the others theta"
        ) from error
    return ((c * risk.data.weights).sqrt()[:, None] * values.T).contiguous()


def check_obstacles(V: Tensor, state: State) -> None:
    """Refuse potentials that are no potentials, and mass in obstacles."""
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
