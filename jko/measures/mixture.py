"""Mixtures of two measures: the straight lines of the linear structure, along which F is convex (Remark 2.1)."""

from __future__ import annotations

from typing import Any, TypeVar

import torch

from jko import checks
from jko.measures.density import GridDensity
from jko.measures.state import Pair, Particles, State
from jko.spaces import same_domain

Measure = TypeVar("Measure", Particles, GridDensity)


def mixture(a: Measure, b: Measure, alpha: float) -> Measure:
    """``mu_alpha = (1 - alpha) a + alpha b``.

    Of atoms: those of both, with masses ``(1 - alpha) a.weights`` and ``alpha b.weights``; atoms at one place are not
    merged, and those without mass are left out.  Of densities on one grid: the mean of the values.

    Parameters
    ----------
    a, b : Particles or GridDensity
        Two measures of one kind, dimension and dtype; densities on one grid.  The domain is that of both.
    alpha : float
        In [0, 1].

    Raises
    ------
    TypeError
        Pairs (rho, H), whose mixture is no graph; states of two kinds, or of a kind whose cells move.
    ValueError
        Another alpha; two grids, two domains, two dimensions.

    Notes
    -----
    Source: survey Remark 2.1 and footnote 4.

    Examples
    --------
    >>> import jko
    >>> mu = jko.measures.mixture(jko.Particles([[0.0]]), jko.Particles([[1.0], [2.0]]), 0.5)
    >>> mu.weights.tolist()
    [0.5, 0.25, 0.25]
    """
    alpha = checks.number("alpha", alpha)
    if not 0 <= alpha <= 1:
        raise ValueError(
            f"alpha = {alpha:g}; the mixture (1 - alpha) a + alpha b needs 0 <= alpha <= 1"
        )
    return _mixed(a, b, alpha)


def _mixed(a: State, b: State, alpha: float) -> Any:
    for name, state in (("a", a), ("b", b)):
        _refuse_others(name, state)
    if isinstance(a, GridDensity) and isinstance(b, GridDensity):
        if a.grid != b.grid:
            raise ValueError(f"a lives on {a.grid} but b on {b.grid}; the grid must be the same")
        checks.alike("a", a.values, "b", b.values)
        return GridDensity.of(a.grid, (1 - alpha) * a.values + alpha * b.values)
    if not (isinstance(a, Particles) and isinstance(b, Particles)):
        raise TypeError(
            f"a is {type(a).__name__} but b is {type(b).__name__}; both must be of one kind: take .to_particles()"
        )
    return _of_atoms(a, b, alpha)


def _of_atoms(a: Particles, b: Particles, alpha: float) -> Particles:
    if a.dim != b.dim:
        raise ValueError(f"a has dimension {a.dim} but b has {b.dim}; a mixture needs one space")
    checks.alike("a", a.points, "b", b.points)
    if not same_domain(a.domain, b.domain):
        raise ValueError(
            f"a lives in {a.domain!r} but b in {b.domain!r}; build both with one domain, or without"
        )
    masses = torch.cat([(1 - alpha) * a.weights, alpha * b.weights])
    full = masses > 0
    return Particles(torch.cat([a.points, b.points])[full], masses[full], a.domain)


def _refuse_others(name: str, state: State) -> None:
    if isinstance(state, Pair):
        raise TypeError(
            f"{name} is a pair (rho, H), and a mixture of two graphs is none: at one theta it has two charges. Mix "
            f"{name}.lift(), along which F is convex; .project() of the mixture is the pair of its means"
        )
    checks.kind(
        name,
        state,
        Particles,
        GridDensity,
        hint="take .to_particles(), or .to_density(grid) of both",
    )
    state.refuse_part("a mixture")
