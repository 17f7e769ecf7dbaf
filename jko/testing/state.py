"""``check_state``: a quadrature, its atoms, and a frozen thing that files can hold."""

from __future__ import annotations

import inspect
import tempfile
from dataclasses import FrozenInstanceError, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.energies import SquaredNorm
from jko.measures import ChargedSpan, Pair, Particles, State
from jko.metrics import natural_metric
from jko.testing.promises import promise, same
from jko.trajectory import Trajectory

PLACES = ("domain", "grid")


def check_state(state: State) -> None:
    """Hold a state to its contract.

    - It is a frozen dataclass; what was handed to its constructor may change afterwards without changing it.
    - ``weights`` and ``support`` are a quadrature of mass one, which ``integrate`` sums; ``atoms`` are particles with
      these weights in this order, built once; ``to_particles()`` is the same measure.
    - ``placed`` and ``weighed``, where it has them, keep the kind, and bring back what it is.
    - Its constructor takes its fields by name, and a saved run brings it back.
    - Its natural metric finds it at distance zero from itself.

    Parameters
    ----------
    state : State

    Raises
    ------
    BrokenPromise
        The first promise that does not hold.

    Examples
    --------
    >>> import jko
    >>> from jko.testing import check_state
    >>> check_state(jko.Particles([[0.0], [1.0]]))
    """
    checks.kind("the state", state, State, hint="subclass jko.measures.State")
    for promised in (_frozen, _quadrature, _atoms, _placed, _weighed, _fields, _owned, _file):
        promised(state)
    far = float(natural_metric(state).distance(state, state))
    promise(far <= 1e-7, state, "atoms", f"are at distance {far:.3g} from themselves")


def _frozen(state: State) -> None:
    kept = is_dataclass(state) and state.__dataclass_params__.frozen
    said = "is no frozen dataclass: write @dataclass(frozen=True, eq=False) above the class"
    promise(kept, state, "__class__", said)
    name = fields(state)[0].name  # type: ignore[arg-type]
    try:
        setattr(state, name, getattr(state, name))
    except FrozenInstanceError:
        return
    promise(False, state, "__setattr__", f"lets {name} be set; a state never changes")


def _quadrature(state: State) -> None:
    m, x = state.weights, state.support
    said = f"have shape {tuple(m.shape)}; they are (N,)"
    promise(m.ndim == 1, state, "weights", said)
    spare = checks.WEIGHT_TOLERANCE[m.dtype]
    said = f"sum to {float(m.sum()):.10g}, the least is {float(m.min()):g}; they are a probability"
    promise(abs(float(m.sum()) - 1) <= spare and bool((m >= 0).all()), state, "weights", said)
    said = f"has shape {tuple(x.shape)} for {len(m)} weights; it is (N, d)"
    promise(x.ndim == 2 and len(x) == len(m), state, "support", said)
    values = x + x.square()
    found, wanted = state.integrate(values), (m[:, None] * values).sum(0)
    said = f"of x + x^2 is {found.tolist()}, and the sum against the weights {wanted.tolist()}"
    close = bool(((found - wanted).abs() <= spare * (m[:, None] * values.abs()).sum(0)).all())
    promise(close, state, "integrate", said)
    promise(state.is_finite, state, "is_finite", "is False")


def _atoms(state: State) -> None:
    mu = state.atoms
    kind = type(mu).__name__
    promise(
        isinstance(mu, Particles), state, "atoms", f"are {kind}; build them by Particles.of(...)"
    )
    said = (
        f"are {mu.N} with other weights than the state's {state.N}: one for each weight, in order"
    )
    promise(mu.N == state.N and torch.equal(mu.weights, state.weights), state, "atoms", said)
    said = f"is {state.dim}, but the atoms have {mu.dim} coordinates"
    promise(mu.dim == state.dim, state, "dim", said)
    promise(state.atoms is mu, state, "atoms", "are built anew each time; write @jko.spaces.cached")
    E, back = SquaredNorm(), state.to_particles()
    said = (
        f"have half the second moment {float(E(state)):.10g}, and to_particles() {float(E(back)):.10g}; both are the "
        "measure, the second without atoms that hold no mass"
    )
    promise(same(E(state), E(back)), state, "atoms", said)
    if isinstance(state, Pair):
        promise(isinstance(back, Pair), state, "to_particles", "is no pair; of a pair it is one")


def _alike(state: State, other: State, method: str) -> None:
    kind = type(other).__name__
    promise(type(other) is type(state), state, method, f"gives a {kind}; it keeps the kind")
    for name in PLACES:
        if hasattr(state, name):
            here, there = getattr(state, name), getattr(other, name)
            said = f"loses the {name}: it is {there!r}, and was {here!r}"
            promise(here is there or repr(here) == repr(there), state, method, said)


def _placed(state: State) -> None:
    try:
        other = state.placed(state.atoms.points)
    except TypeError:
        return  # its own solver moves it
    _alike(state, other, "placed")
    said = "of the points where the atoms are gives other atoms"
    promise(same(other.atoms.points, state.atoms.points), state, "placed", said)
    moved = state.placed(0.5 * state.atoms.points)
    said = "does not put the atoms at the points it is given"
    promise(same(moved.atoms.points, 0.5 * state.atoms.points), state, "placed", said)
    said = "changes the masses; atoms move with theirs"
    promise(torch.equal(moved.weights, state.weights), state, "placed", said)


def _weighed(state: State) -> None:
    masses = state.weights.flip(0)
    try:
        other = state.weighed(masses)
    except TypeError:
        return
    _alike(state, other, "weighed")
    said = f"gives the masses {other.weights.tolist()}; asked for were {masses.tolist()}"
    promise(same(other.weights, masses), state, "weighed", said)
    said = "moves the places; only the masses change"
    promise(same(other.support, state.support), state, "weighed", said)


def _held(state: State) -> dict[str, Any]:
    return {field.name: getattr(state, field.name) for field in fields(state)}  # type: ignore[arg-type]


def _fields(state: State) -> None:
    """The constructor takes the fields by name."""
    takes = inspect.signature(type(state)).parameters
    missing = sorted(_held(state).keys() - takes.keys())
    said = (
        f"does not take the fields {', '.join(missing)} by name; files bring a state back by them"
    )
    promise(not missing, state, "__init__", said)
    again = type(state)(**_held(state))
    said = "makes another state of its own fields"
    promise(_same_atoms(again, state), state, "__init__", said)


def _same_atoms(a: State, b: State) -> bool:
    return same(a.atoms.points, b.atoms.points) and same(a.weights, b.weights)


def _owned(state: State) -> None:
    """What was handed in is copied."""
    copies = {
        name: value.clone() if isinstance(value, Tensor) else value
        for name, value in _held(state).items()
    }
    again = type(state)(**copies)
    for name, value in copies.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            value.mul_(3.0)
            kept = torch.equal(getattr(again, name), getattr(state, name)) or bool(
                torch.isnan(getattr(state, name)).any()
            )
            said = f"keeps the tensor {name} that it was given, which may change; take checks.owned({name!r}, {name})"
            promise(kept, state, "__init__", said)


def _file(state: State) -> None:
    """A run of one state, saved and loaded."""
    run = Trajectory(np.zeros(1), np.zeros(1), (state,), np.zeros(1, dtype=np.int64))
    like = state if isinstance(state, ChargedSpan) else None
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = run.save(Path(folder) / "run.npz")
            back = Trajectory.load(path, domain=state.domain, like=like).final
        except (TypeError, ValueError) as refusal:
            promise(False, state, "__init__", f"is in no file: {refusal}")
            return
        kind = type(back).__name__
        said = f"comes back from a file as a {kind} with other atoms"
        alike = type(back) is type(state) and _same_atoms(back, state)
        promise(alike, state, "__init__", said)
