"""``check_energy``: value, variation, gradient, curvature and convexity of an energy against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import generic, leaf, recording, slope
from jko.energies import Energy, Internal
from jko.measures import OnCells, Particles, State
from jko.testing import samples
from jko.testing.internal import check_law
from jko.testing.promises import UNFIT, Difference, accepted, promise, rounding, same

SHIFT = 0.05  # of points beside the atoms


def check_energy(
    energy: Energy,
    states: Sequence[State] | None = None,
    *,
    along: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """Hold an energy to its contract.

    - The value is finite, 0-d, of the state's dtype, and the same bits when asked again; it is that of the measure: the
      order of its atoms, and an atom split in two, change nothing.
    - ``variation`` is the derivative of the value under changes of masses, on the atoms and beside them.
    - ``gradient`` is the derivative of the value under moves of the atoms, and that of ``variation`` beside them.
    - ``evaluate``, ``second_order``, ``hessian`` and ``terms`` say the same as these.
    - An energy that says ``convex`` lies below its chords.
    - An :class:`jko.Internal` has ``slope``, ``density``, ``density_slope`` and what follows from them in order.

    Parameters
    ----------
    energy : Energy
    states : sequence of states, optional
        Where to look, off kinks; default clouds in dimension one to three, or densities for what needs them: those that
        the energy does not refuse.
    along : callable, optional
        For an energy that knows some measures only: the projection of moves (N, dim) to those that stay among them.
        Mass beside the atoms is then not asked about.

    Raises
    ------
    BrokenPromise
        The first promise that does not hold.

    Examples
    --------
    >>> import jko
    >>> from jko.testing import check_energy
    >>> check_energy(jko.Potential(lambda z: z[:, 0] ** 4))
    """
    checks.kind("energy", energy, Energy, hint="subclass jko.Energy")
    if isinstance(energy, Internal):
        check_law(energy)
    if states is None:
        inside = any(isinstance(E, Internal) for _, E in energy.terms)
        tried = samples.densities() if inside else samples.atoms()
        states = accepted(tried, lambda state: energy(state), energy, "__call__", UNFIT)
    for state in states:
        _value(energy, state)
        _variation(energy, state)
        _terms(energy, state)
        _masses(energy, state)
        mu = _as_atoms(energy, state)
        if mu is not None:
            moves = (generic(mu.points, turn) for turn in (3, 5, 13))
            v, beside, other = moves if along is None else map(along, moves)
            _measure(energy, mu)
            if along is None:
                _elsewhere(energy, mu, mu.points + SHIFT * beside)
            _moves(energy, mu, v)
            _recorded(energy, mu, other)
            _slopes_beside(energy, mu, mu.points + SHIFT * beside, v)
            _evaluate(energy, mu)
            _curvature(energy, mu, v)
        if energy.convex:
            _convex(energy, state, mu)


def _as_atoms(energy: Energy, state: State) -> Particles | None:
    """The atoms that the energy reads, if it reads any."""
    if not isinstance(state, Particles):
        try:
            energy(state.atoms)
        except TypeError:
            return None
    return state.atoms


def _value(energy: Energy, state: State) -> None:
    value: Any = energy(state)
    shape = tuple(value.shape) if isinstance(value, Tensor) else None
    what = f"shape {shape}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    said = f"is a 0-d tensor, but here it is {what}; end with state.integrate(...), or a sum"
    promise(shape == (), energy, "__call__", said)
    finite = bool(torch.isfinite(value))
    promise(finite, energy, "__call__", f"is {float(value)} at {state!r}; it is finite there")
    dtype = state.weights.dtype
    said = f"is {value.dtype} at a state of {dtype}; build constants by .to(state.weights)"
    promise(value.dtype == dtype, energy, "__call__", said)
    again = energy(state)
    said = f"is {float(value):.17g}, and asked again {float(again):.17g}; draw nothing at random"
    promise(torch.equal(value, again), energy, "__call__", said)


def _variation(energy: Energy, state: State) -> None:
    first = energy.variation(state)
    shape = tuple(first.shape)
    said = f"has shape {shape} at {state.N} atoms; it is one number each, (n,)"
    promise(shape == (state.N,), energy, "variation", said)
    held = first[state.weights > 0]
    said = "is not finite at an atom that holds mass, though the value is"
    promise(torch.isfinite(held).all(), energy, "variation", said)


def _terms(energy: Energy, state: State) -> None:
    total = sum((c * E(state) for c, E in energy.terms), torch.zeros_like(energy(state)))
    said = f"add up to {float(total):.10g}, but the value is {float(energy(state)):.10g}"
    promise(same(total, energy(state)), energy, "terms", said)


def _masses(energy: Energy, state: State) -> None:
    """d/ds E(mu + s nu) for nu of mass zero, and for nu = mu."""
    m, first = state.weights, energy.variation(state).detach()
    try:
        state.weighed(m)
    except TypeError:
        return  # it keeps its masses
    change = m * generic(m)
    free = change - m * change.sum() / m.sum()
    for nu, where in ((free, "a change of masses with sum zero"), (m, "a factor of all masses")):
        found = Difference.of(lambda s, nu=nu: energy(state.weighed(m + s * nu)))  # type: ignore[misc]
        if wrong := found.apart((nu * first).sum()):
            said = (
                f"says that the energy changes by {wrong[0]:.6g} along {where}, and its values say {wrong[1]:.6g}; "
                "variation(state) is dE/dmu at the atoms, along mu + s nu. Look for a factor 1/2 of what is quadratic "
                "in mu, and for a constant that was left out"
            )
            promise(False, energy, "variation", said)


def _elsewhere(energy: Energy, mu: Particles, at: Tensor) -> None:
    """The variation beside the atoms: mass that appears there."""
    here, again = energy.variation(mu), energy.variation(mu, mu.points)
    said = "at=state.atoms.points says something else than without at; leave state alone where at is given"
    promise(same(here, again), energy, "variation", said)
    at = at[:2]
    there = energy.variation(mu, at).detach()
    shape = tuple(there.shape)
    promise(shape == (len(at),), energy, "variation", f"has shape {shape} at {len(at)} points at=")

    def value(s: float) -> Tensor:
        points = torch.cat([mu.points, at])
        new = torch.full((len(at),), s / len(at)).to(mu.weights)
        return energy(Particles.of(points, torch.cat([(1 - s) * mu.weights, new])))

    claimed = there.mean() - mu.integrate(here.detach())
    wrong = Difference.of(value, one_sided=True).apart(claimed)
    if wrong:
        said = (
            f"says that mass which goes from the atoms to points at= beside them changes the energy by {wrong[0]:.6g}, "
            f"and the values say {wrong[1]:.6g}; variation(state, at) is a function of at, for the measure of state"
        )
        promise(False, energy, "variation", said)


def _moves(energy: Energy, mu: Particles, v: Tensor) -> None:
    gradient = energy.gradient(mu).detach()
    shape = tuple(gradient.shape)
    wanted = tuple(mu.points.shape)
    promise(shape == wanted, energy, "gradient", f"has shape {shape} at points {wanted}")
    wrong = Difference.of(lambda s: energy(mu.moved(mu.points + s * v))).apart(
        mu.inner(gradient, v)
    )
    if wrong:
        said = (
            f"says that the energy changes by {wrong[0]:.6g} along a move of the atoms, and its values say "
            f"{wrong[1]:.6g}; it is grad dE/dmu at the atoms, with no division by their number or masses"
        )
        promise(False, energy, "gradient", said)


def _slopes_beside(energy: Energy, mu: Particles, at: Tensor, v: Tensor) -> None:
    beside = energy.gradient(mu, at).detach()
    wrong = Difference.of(lambda s: energy.variation(mu, at + s * v)).apart((beside * v).sum(1))
    if wrong:
        said = (
            f"says at points at= that the variation changes by {wrong[0]:.6g} along a move, and variation(state, at) "
            f"says {wrong[1]:.6g}; all of the variation is torch of at, or gradient(state, at) is written by hand"
        )
        promise(False, energy, "gradient", said)


def _recorded(energy: Energy, mu: Particles, v: Tensor) -> None:
    """What torch records of the value is all of it, or nothing."""
    with recording():
        x = leaf(mu.points)
        value = energy(mu.moved(x))
        if not value.requires_grad:
            return
        found = slope(value, x)
    said = (
        "is recorded by torch in part: its recorded slope is not the gradient times the masses; make all of it from "
        "state.atoms.points, without .item(), .detach() and numpy"
    )
    wanted = mu.inner(energy.gradient(mu).detach(), v)
    promise(same((found * v).sum(), wanted, 1e-6), energy, "__call__", said)


def _evaluate(energy: Energy, mu: Particles) -> None:
    found = energy.evaluate(mu)
    apart = {
        "value": energy(mu).detach(),
        "variation": energy.variation(mu).detach(),
        "gradient": energy.gradient(mu).detach(),
    }
    for name, wanted in apart.items():
        said = f"has another {name} than the method of that name; both are of one formula"
        promise(same(getattr(found, name).detach(), wanted), energy, "evaluate", said)


def _curvature(energy: Energy, mu: Particles, v: Tensor) -> None:
    """The Hessian along a move, and that of the variation, against differences of gradients."""
    blocks, factor, cross = energy.second_order(mu)
    along = (blocks @ v[:, :, None])[:, :, 0]
    if factor is not None:
        along = along + factor @ mu.integrate((factor * v[:, :, None]).sum(1))
    if cross is not None:
        along = along + cross(v)
    moved = Difference.of(lambda s: energy.gradient(mu.moved(mu.points + s * v)).detach())
    _held(energy, "second_order", moved, along.detach(), "the atoms move")
    own = (energy.hessian(mu).detach() @ v[:, :, None])[:, :, 0]
    beside = Difference.of(lambda s: energy.gradient(mu, mu.points + s * v).detach())
    _held(energy, "hessian", beside, own, "at= moves and the measure stays")


def _held(energy: Energy, method: str, found: Difference, claimed: Tensor, when: str) -> None:
    if wrong := found.apart(claimed):
        said = (
            f"says that the gradient changes by {wrong[0]:.6g} when {when}, and the gradient itself says "
            f"{wrong[1]:.6g}; leave it out, and the base class computes it"
        )
        promise(False, energy, method, said)


def _measure(energy: Energy, mu: Particles) -> None:
    """A functional of the measure: neither the order of its atoms matters, nor how an atom is written."""
    value = energy(mu).detach()
    back = Particles.of(mu.points.flip(0), mu.weights.flip(0), mu.domain)
    said = "depends on the order of the atoms; an energy is of the measure: state.integrate(...)"
    promise(same(energy(back).detach(), value), energy, "__call__", said)
    half = torch.cat([0.25 * mu.weights[:1], 0.75 * mu.weights[:1], mu.weights[1:]])
    split = Particles.of(torch.cat([mu.points[:1], mu.points]), half, mu.domain)
    said = (
        f"is {float(value):.10g}, but {float(energy(split)):.10g} when an atom is written as two of the same place; "
        "an energy is of the measure: sum by state.integrate(...), never by mean() or over N"
    )
    promise(same(energy(split).detach(), value), energy, "__call__", said)


def _convex(energy: Energy, state: State, mu: Particles | None) -> None:
    """Below the chord between two measures, at its middle and near its ends."""
    if mu is None and not isinstance(state, OnCells):
        return
    if mu is not None:
        there = mu.points + generic(mu.points, 11)
        state = Particles.of(torch.cat([mu.points, there]), torch.cat([mu.weights, mu.weights]))
        none = torch.zeros_like(mu.weights)
        one, other = torch.cat([mu.weights, none]), torch.cat([none, mu.weights])
    else:
        one, other = state.weights, state.weights.flip(0)
    try:
        ends = energy(state.weighed(one)), energy(state.weighed(other))
    except TypeError:
        return
    for s in (0.1, 0.5, 0.9):
        value = float(energy(state.weighed((1 - s) * one + s * other)))
        chord = float((1 - s) * ends[0] + s * ends[1])
        spare = rounding(state.weights.dtype) * max(abs(chord), *(abs(float(end)) for end in ends))
        said = (
            f"is True, but at (1 - s) mu_0 + s mu_1 with s = {s} the energy is {value:.10g}, above the chord's "
            f"{chord:.10g}; convexity is that of mixtures, not along moves of the atoms: say convex = False"
        )
        promise(value <= chord + spare, energy, "convex", said)
