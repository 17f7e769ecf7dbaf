"""States as arrays and facts: what a file holds of each kind, and what it asks for.

The arrays of a state are called ``state/FIELD``; a pair whose H is made of functions has ``span/alpha`` and ``span/b``
beside the arrays of its rho.  In an archive of many states the number stands between: ``state/7/points``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from jko.measures import (
    ChargedDensity,
    ChargedMesh,
    ChargedParticles,
    ChargedSpan,
    GridDensity,
    LineMesh,
    Particles,
    State,
)
from jko.spaces import Ball, Box, Cylinder, Domain, Grid

Arrays = dict[str, np.ndarray]
Facts = dict[str, Any]
FIELDS = {
    "Particles": ("points", "weights"),
    "ChargedParticles": ("theta", "H", "weights"),
    "GridDensity": ("values",),
    "LineMesh": ("edges", "masses"),
    "ChargedDensity": ("values", "H"),
    "ChargedMesh": ("theta", "H", "masses", "weights"),
}
ATOMS = {
    "Particles": Particles,
    "ChargedParticles": ChargedParticles,
    "LineMesh": LineMesh,
    "ChargedMesh": ChargedMesh,
}
DENSITIES = {"GridDensity": GridDensity, "ChargedDensity": ChargedDensity}
SPAN = "ChargedSpan"
PROJECTION = "given by its projection"  # a domain that a file can name but not hold


def facts_of(state: State) -> Facts:
    """Kind, and grid or domain: what all states of a run share."""
    if isinstance(state, ChargedSpan):
        return {"kind": SPAN, "rho": facts_of(state.rho)}
    facts: Facts = {"kind": type(state).__name__}
    if isinstance(state, (GridDensity, ChargedDensity)):
        return facts | {"grid": {"bounds": state.grid.bounds, "shape": state.grid.shape}}
    return facts | {"domain": _pack_domain(state.domain)}


def names(facts: Facts) -> tuple[str, ...]:
    """The names of a state's arrays."""
    if facts["kind"] == SPAN:
        return (*names(facts["rho"]), "span/b", "span/alpha")
    return tuple(f"state/{field}" for field in FIELDS[facts["kind"]])


def checked(facts: Facts) -> int:
    """The number of states, after a look at all facts of a file of several.

    Raises
    ------
    ValueError
        A fact that is missing, unknown, or of another kind.
    """
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
    elif isinstance(kind, str) and kind in DENSITIES:
        known = {"kind", "grid"}
        if not isinstance(facts.get("grid"), dict) or set(facts["grid"]) != {"bounds", "shape"}:
            raise ValueError("its grid is none")
    elif isinstance(kind, str) and kind in ATOMS:
        known = {"kind", "domain"}
    else:
        raise ValueError(f"its states are of kind {kind!r}")
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
        span = {"span/b": state.b.cpu().numpy(), "span/alpha": np.array(state.alpha)}
        return packed(state.rho) | span
    fields = FIELDS[type(state).__name__]
    return {f"state/{field}": getattr(state, field).cpu().numpy() for field in fields}


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
    row = [torch.from_numpy(arrays[f"state/{field}"]) for field in FIELDS[kind]]
    if kind in DENSITIES:
        return DENSITIES[kind](Grid(facts["grid"]["bounds"], facts["grid"]["shape"]), *row)
    return ATOMS[kind](*row, domain=_unpack_domain(facts["domain"], domain))


class NeedsMore(ValueError):
    """The file is whole, but holds no functions: the sentence says which argument brings them."""


def _pack_domain(domain: Domain | None) -> Any:
    if domain is None:
        return None
    if isinstance(domain, Box):
        return {"Box": [domain.lower.tolist(), domain.upper.tolist()]}
    if isinstance(domain, Ball):
        return {"Ball": [domain.centre.tolist(), domain.radius]}
    if isinstance(domain, Cylinder):
        return {"Cylinder": [_pack_domain(domain.base)]}
    return {PROJECTION: []}


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
    if kind == "Ball" and len(values) == 2:
        return Ball(*values)
    if kind != PROJECTION or values:
        raise ValueError(f"its domain is {packed!r}")
    if given is None:
        raise NeedsMore(
            "the run's domain was given by its projection, which a file cannot hold; pass domain=... to load"
        )
    return given
