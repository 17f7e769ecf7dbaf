"""The relaxation of G(rho, H) for potentials that are not convex in w (section 2.3, Remark 3.4).

A pair may oscillate: H that jumps between a and b ever faster tends to a measure that has both at each theta, while
(rho, H) tends to the mean.  So along limits of rho and of the signed measure H rho the energy G goes down to

    G**(rho, H) = min { F(mu) : mu has the marginal rho and the conditional mean H }
                = risk + int V**(H(theta), theta) rho(dtheta),

V** the convex hull of V in w at fixed theta.  If V is convex in w then V** = V, and nothing is lost by pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jko import checks
from jko.energies.base import Energy
from jko.energies.bitangents import Bitangent, Hull
from jko.energies.internal import Internal
from jko.energies.ontheta import OnTheta
from jko.energies.potential import Linear, Potential
from jko.energies.risk import Risk
from jko.energies.terms import joined, refuse, sorted_terms
from jko.measures import State, YoungMeasure
from jko.networks import Neuron

TOUCHES = 1e-5  # slopes of V and chord at an end that is no kink and not at a bound differ by less


class _End(NamedTuple):
    """V at the ends of chords, and there its slope and second derivative in w, where torch records them."""

    value: Tensor
    slope: Tensor | None = None
    bend: Tensor | None = None


@dataclass(frozen=True, init=False)
class Relaxed(Linear):
    """``int V**(w, theta) dmu``, V** the largest function below V that is convex in w at each theta.

    Parameters
    ----------
    energy : Energy
        A linear energy ``int V dmu`` of (w, theta).
    bounds : (float, float), optional
        An interval of w: the hull is that of V on it.  Default the line, searched through until the chord above each
        atom ends inside of what was looked at.

    Raises
    ------
    ValueError
        An energy that is not linear; atoms outside the bounds; a V that grows more slowly than a line.

    Notes
    -----
    V** is V, or a chord ``(1 - s) V(a, theta) + s V(b, theta)`` that touches V at both ends with one slope.  The value
    is never below V**, and for smooth V exact to rounding where all chords are found: by a table of 512 cells or more
    on at least ``|w| <= 4 (1 + max |w|)``, and where it has none above w by one of the cells around w, 64 times finer;
    further out, up to 4096 times as far, by points whose distances grow by 9 %.  Wells narrower than a cell that are
    not near w are not seen: :meth:`error` says how much lower the hull may be.

    Examples
    --------
    >>> import jko, torch
    >>> E = jko.energies.Relaxed(jko.Potential(lambda xi: (xi[:, 0] ** 2 - 1) ** 2))
    >>> E.variation(jko.Particles([[0.5, 0.0], [2.0, 0.0]])).tolist()
    [0.0, 9.0]
    """

    _bare = 1
    energy: Energy
    bounds: tuple[float, float] | None

    def __init__(self, energy: Energy, bounds: Any = None) -> None:
        checks.kind("energy", energy, Energy)
        other = sorted_terms(energy).without(Linear)
        refuse(
            other, "{name} is not linear in the measure; jko.energies.relaxed(energy) takes sums"
        )
        object.__setattr__(self, "energy", energy)
        interval = None if bounds is None else checks.interval("bounds", bounds)
        object.__setattr__(self, "bounds", interval)

    @cached_property
    def _hull(self) -> Hull:
        return Hull(self.energy, self.bounds)

    def bitangent(self, state: State, at: Tensor | None = None) -> Bitangent:
        """The chords of V** above the points ``at`` (n, 1 + d), default the atoms, by their ends in w."""
        mu = state.atoms
        at = mu.points if at is None else at
        if at.shape[1] < 2:
            raise ValueError("the points have one coordinate; V(w, theta) needs at least two")
        if self.bounds is not None:
            (low, high), w = self.bounds, at[:, 0].detach()
            bad = int(((w < low) | (w > high)).sum())
            if bad:
                raise ValueError(
                    f"{bad} of {len(w)} points have w outside of the bounds [{low:g}, {high:g}], where V** is +inf"
                )
        return self._hull.over(mu.detach(), at)

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """V** at the points, shape (n,)."""
        at = state.atoms.points if at is None else at
        found = self.bitangent(state, at)
        rows = found.is_chord
        V = self.energy.variation(state, at)
        if not bool(rows.any()):
            return V
        above = Bitangent(found.low[rows], found.high[rows])
        return V.masked_scatter(rows, self._on_chords(state, at[rows], above).to(V))

    def _on_chords(self, state: State, at: Tensor, chord: Bitangent) -> Tensor:
        """The chords at w, with the second derivative that comes from how their ends move with theta."""
        share = chord.share(at[:, 0])
        low, high = (self._end(state, at[:, 1:], w) for w in chord)
        slope = (high.value - low.value) / (chord.high - chord.low)
        bent = [self._bend(end, slope) for end in (low, high)]
        return share * (low.value - bent[0]) + (1 - share) * (high.value - bent[1])

    def _end(self, state: State, theta: Tensor, w: Tensor) -> _End:
        records = torch.is_grad_enabled() and theta.requires_grad
        w = w.clone().requires_grad_(records)
        value = self.energy.variation(state, torch.cat([w[:, None], theta], dim=1))
        if not (records and value.requires_grad):
            return _End(value)
        (slope,) = torch.autograd.grad(value.sum(), w, create_graph=True, materialize_grads=True)
        bend = torch.zeros_like(w)
        if slope.requires_grad:
            (bend,) = torch.autograd.grad(slope.sum(), w, retain_graph=True, materialize_grads=True)
        return _End(value, slope, bend.detach())

    def _bend(self, end: _End, slope: Tensor) -> Tensor | float:
        """``(V_w - slope)^2 / 2 V_ww``: zero with zero derivative, but for the second."""
        if end.slope is None or end.bend is None:
            return 0.0
        off = end.slope - slope
        smooth = (end.bend > 0) & (off.detach().abs() <= TOUCHES * (1 + slope.detach().abs()))
        return torch.where(smooth, off, 0.0).square() / (2 * torch.where(smooth, end.bend, 1.0))

    def fibres(self, state: State) -> YoungMeasure:
        """A measure with the same rho and H whose V is V**: two atoms in place of each on a chord, its ends.

        Examples
        --------
        >>> import jko
        >>> V = jko.Potential(lambda xi: (xi[:, 0] ** 2 - 1) ** 2)
        >>> pair = jko.ChargedParticles([[0.0], [1.0]], [0.5, 2.0])
        >>> mu = jko.energies.Relaxed(V).fibres(pair)
        >>> [round(w, 9) for w in mu.points[:, 0].tolist()], mu.weights.tolist()
        ([-1.0, 1.0, 2.0], [0.125, 0.375, 0.5])
        """
        start = YoungMeasure.of_state(state)
        found = self.bitangent(start)
        rows, w = found.is_chord, start.points[:, 0]
        share = torch.where(rows, found.share(w).nan_to_num(), 1.0)
        points = start.points.repeat_interleave(2, dim=0)
        points[:, 0] = torch.stack([found.low, found.high], dim=1).reshape(-1)
        masses = (start.weights[:, None] * torch.stack([share, 1 - share], dim=1)).reshape(-1)
        full = masses > 0
        label = start.label.repeat_interleave(2)
        return YoungMeasure(points[full], label[full], masses[full] / masses.sum(), start.domain)

    def error(self, state: State) -> float:
        """How far V** may lie below what is computed, at most over the atoms: by the tables, an estimate.

        V minus the line that touches it has its minimum 0 where they touch.  Elsewhere it is seen at the points of the
        table; between two of them it can be lower than both by an eighth of its second difference.
        """
        mu = state.atoms.detach()
        found = self.bitangent(mu)
        return self._hull.depth(mu, mu.points, found)


def relaxed(energy: Energy | Callable[[Tensor], Any], *, bounds: Any = None) -> Energy:
    """The relaxed energy G**: all potentials of an energy together replaced by the convex hull in w of their sum.

    Parameters
    ----------
    energy : Energy or callable
        G, or a potential V of points (n, 1 + d).  Of its terms the potentials are relaxed.  The others see rho and H
        alone, and stay: :class:`jko.Risk` of neurons ``w h(theta, x)``, :class:`jko.energies.OnTheta`, and internal
        energies, which on pairs are of rho.
    bounds : (float, float), optional
        An interval of w, default the line: see :class:`Relaxed`.

    Returns
    -------
    Energy
        On pairs G**; on measures F with V** for V, which only is F** of their means: at most F.

    Raises
    ------
    ValueError
        A term that sees more of nu_theta than its mean.

    Notes
    -----
    F is continuous in W2 and G = F on graphs, which are dense: so the envelope of G *in D* is F, on the completion.
    G** is the envelope for weaker limits, of rho and H rho.  ``G** <= F`` with equality at :meth:`Relaxed.fibres`,
    whence ``min F = min G**``, and both are inf G.  The hull of a sum is not the sum of the hulls.

    Examples
    --------
    >>> import jko
    >>> G = jko.energies.relaxed(lambda xi: (xi[:, 0] ** 2 - 1) ** 2)
    >>> float(G(jko.ChargedParticles([[0.0], [1.0]], [0.0, 2.0])))
    4.5
    """
    if not isinstance(energy, Energy):
        energy = Potential(energy)
    terms = sorted_terms(energy)
    kept = terms.without(Linear)
    refuse(
        ((c, E) for c, E in kept if not _of_means(E)),
        "{name} sees more of the fibres than the mean of w, so its relaxation is no convex hull of a potential; known "
        "are jko.Risk of neurons w h(theta, x), jko.energies.OnTheta and internal energies of rho",
    )
    linear, rest = joined(terms.linear), joined(kept)
    if linear is None:
        return energy
    hull = Relaxed(linear, bounds)
    return hull if rest is None else rest + hull


def _of_means(energy: Energy) -> bool:
    """Whether it sees of nu_theta its mean alone."""
    if isinstance(energy, Risk):
        return isinstance(energy.features, Neuron)
    return isinstance(energy, (OnTheta, Internal))
