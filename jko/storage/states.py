"""States as arrays and facts: what a file holds of each kind, and what it asks for.

The arrays of a state are the fields of its dataclass, called ``state/FIELD``; where it lives, ``grid`` or ``domain``,
is a fact.  A pair whose H is made of functions has ``span/alpha`` and ``span/b`` beside the arrays of its rho.  In an
archive of many states the number stands between: ``state/7/points``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko.measures import ChargedSpan, State
from jko.spaces import Ball, Box, Cylinder, Domain, Grid, Torus

Arrays = dict[str, np.ndarray]
Facts = dict[str, Any]
SPAN = "ChargedSpan"
DTYPES = re.compile(r"<f[248]|<[iu][248]|\|[iu]1|\|b1|<U\d{1,9}")  # plain numbers and words
PLACES = {"grid", "domain"}  # fields that say where a state lives
GRID = {"bounds", "shape", "periodic"}  # its facts; the last may be missing
PARTS = "parts"  # of a run that several processes saved: the names of their files
PROJECTION = "given by its projection"  # a domain that a file can name but not hold


def held(kind: type[State]) -> tuple[str, ...]:
    """The fields of a kind of state that a file holds as arrays."""
    return tuple(field.name for field in fields(kind) if field.name not in PLACES)  # type: ignore[arg-type]


def _place(kind: type[State]) -> set[str]:
    return PLACES & {field.name for field in fields(kind)}  # type: ignore[arg-type]


def _kinds(base: type[State] = State) -> Iterator[type[State]]:
    for kind in base.__subclasses__():
        yield from (kind, *_kinds(kind))


def _kind(name: Any) -> type[State]:
    """The kind of this name: of several the library's own, else the last one that was defined."""
    found = [kind for kind in _kinds() if kind.__name__ == name and kind in kind.kinds()]
    if not found:
        raise ValueError(
            f"its states are of kind {name!r}, which nobody has defined here: import the module that does"
        )
    return next((kind for kind in found if kind.__module__.startswith("jko.")), found[-1])


def refuse_dtype(name: str, dtype: np.dtype) -> None:
    """TypeError for an array that is neither of plain numbers nor of words."""
    if not DTYPES.fullmatch(dtype.str):
        raise TypeError(f"{name} has dtype {dtype}, which a saved run cannot hold")


def facts_in(text: str | bytes) -> Facts:
    """The facts of a file, from their JSON.

    Raises
    ------
    ValueError
        No JSON, or no object.
    """
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its facts are no JSON ({error})") from None
    if not isinstance(facts, dict):
        raise ValueError("its facts are no JSON object")
    return facts


def facts_of(state: State) -> Facts:
    """Kind, and grid or domain: what all states of a run share."""
    if isinstance(state, ChargedSpan):
        return {"kind": SPAN, "rho": facts_of(state.rho)}
    facts: Facts = {"kind": type(state).__name__}
    for place in _place(type(state)):
        facts[place] = _PACKED[place](getattr(state, place))
    return facts


def names(facts: Facts) -> tuple[str, ...]:
    """The names of a state's arrays."""
    if facts["kind"] == SPAN:
        return (*names(facts["rho"]), "span/b", "span/alpha")
    return tuple(f"state/{field}" for field in held(_kind(facts["kind"])))


def checked(facts: Facts) -> int:
    """The number of states, after a look at all facts of a file of several.

    Raises
    ------
    ValueError
        A fact that is missing, unknown, or of another kind.
    """
    if PARTS in facts:
        raise ValueError("several processes saved it in parts, which jko.distributed.load reads")
    count = facts.get("states")
    if type(count) is not int or count < 1:
        raise ValueError(f"it has {count!r} states")
    form = {
        name: value for name, value in facts.items() if name not in ("format", "status", "states")
    }
    _check_form(form)
    return count


def _check_form(facts: Facts) -> None:
    kind = facts.get("kind")
    if kind == SPAN and isinstance(facts.get("rho"), dict):
        known = {"kind", "rho"}
        _check_form({name: value for name, value in facts["rho"].items() if name != "states"})
    else:
        known = {"kind"} | _place(_kind(kind))
        grid = facts.get("grid", {})
        if "grid" in known and not (isinstance(grid, dict) and set(grid) | {"periodic"} == GRID):
            raise ValueError("its grid is none")
    if facts.keys() != known:
        raise ValueError(
            f"its facts are {sorted(facts)}; with states of kind {kind} they are {sorted(known)}"
        )


def numbered(name: str, k: int) -> str:
    """The name of an array of state k: ``state/k/points``."""
    prefix, field = name.split("/")
    return f"{prefix}/{k}/{field}"


def packed(state: State) -> Arrays:
    """The arrays of a state."""
    if isinstance(state, ChargedSpan):
        span = {"span/b": state.b.detach().cpu().numpy(), "span/alpha": np.array(state.alpha)}
        return packed(state.rho) | span
    return {f"state/{name}": _array(state, name) for name in held(type(state))}


def _array(state: State, name: str) -> np.ndarray:
    value = getattr(state, name)
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, bool | int | float):
        return np.array(value)
    raise TypeError(
        f"the field {name} of {type(state).__name__} is a {type(value).__name__}; a file holds tensors and numbers"
    )


def unpacked(
    arrays: Arrays, facts: Facts, domain: Domain | None = None, like: State | None = None
) -> State:
    """The inverse of :func:`packed`; ``domain`` replaces one that was given by its projection.

    ``like`` is a :class:`ChargedSpan` with the functions H0 and h, which a file cannot hold.
    """
    kind = facts["kind"]
    if kind == SPAN:
        if not isinstance(like, ChargedSpan):
            raise NeedsMore(
                "the run's states are pairs whose H is made of functions, which a file cannot hold; pass "
                "like=start, the ChargedSpan that the run began with"
            )
        rho = unpacked(arrays, facts["rho"], domain)
        b = torch.from_numpy(arrays["span/b"])
        return ChargedSpan(rho, like.H0, like.h, like.x, float(arrays["span/alpha"]), b)  # type: ignore[arg-type]
    state, row = _kind(kind), dict[str, Any]()
    for name in held(state):
        array = arrays[f"state/{name}"]
        row[name] = torch.from_numpy(array) if array.ndim else array.item()
    if "grid" in facts:
        row["grid"] = Grid(**facts["grid"])
    if "domain" in facts:
        row["domain"] = _unpack_domain(facts["domain"], domain)
    return state(**row)


class NeedsMore(ValueError):
    """The file is whole, but holds no functions: the sentence says which argument brings them."""


def _pack_domain(domain: Domain | None) -> Any:
    if domain is None:
        return None
    if isinstance(domain, Box):
        return {"Box": [domain.lower.tolist(), domain.upper.tolist()]}
    if isinstance(domain, Torus):
        return {"Torus": [domain.lower.tolist(), domain.upper.tolist(), domain.periodic]}
    if isinstance(domain, Ball):
        return {"Ball": [domain.centre.tolist(), domain.radius]}
    if isinstance(domain, Cylinder):
        return {"Cylinder": [_pack_domain(domain.base)]}
    return {PROJECTION: []}


def _pack_grid(grid: Grid) -> Facts:
    """Its arguments; with walls all around as versions wrote it that knew of nothing else."""
    walled = {"bounds": grid.bounds, "shape": grid.shape}
    return walled | {"periodic": grid.periodic} if any(grid.periodic) else walled


_PACKED: dict[str, Callable[[Any], Any]] = {
    "grid": _pack_grid,
    "domain": _pack_domain,
}


def _unpack_domain(packed: Any, given: Domain | None) -> Domain | None:
    if packed is None:
        return given
    if not isinstance(packed, dict) or len(packed) != 1:
        raise ValueError(f"its domain is {packed!r}")
    ((kind, values),) = packed.items()
    if not isinstance(values, list):
        raise ValueError(f"its domain is {packed!r}")
    if kind == "Cylinder" and len(values) == 1 and values[0] is not None:
        base = _unpack_domain(values[0], given.base if isinstance(given, Cylinder) else given)
        assert base is not None
        return Cylinder(base)
    if kind == "Box" and len(values) == 2:
        return Box(*(torch.from_numpy(np.array(bound, dtype=np.float64)) for bound in values))
    if kind == "Torus" and len(values) == 3:
        lower, upper = (np.array(bound, dtype=np.float64) for bound in values[:2])
        return Torus(lower, upper, values[2])
    if kind == "Ball" and len(values) == 2:
        return Ball(*values)
    if kind != PROJECTION or values:
        raise ValueError(f"its domain is {packed!r}")
    if given is None:
        raise NeedsMore(
            "the run's domain was given by its projection, which a file cannot hold; pass domain=... to load"
        )
    return given
