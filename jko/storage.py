"""Saved runs: one ``.npz`` of arrays with a JSON string of facts, without pickle, so that loading never runs code.

Files are written beside their place and then renamed, so that a run that dies leaves its last save readable.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
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

FORMAT = 1
Arrays = dict[str, np.ndarray]
FIELDS = {
    "Particles": ("points", "weights"),
    "ChargedParticles": ("theta", "H", "weights"),
    "GridDensity": ("values",),
    "LineMesh": ("edges", "masses"),
    "ChargedDensity": ("values", "H"),
    "ChargedMesh": ("theta", "H", "masses", "weights"),
}


def write(path: str | Path, arrays: Arrays, facts: dict[str, Any]) -> Path:
    """Write atomically; the name gets the suffix ``.npz`` if it has none."""
    path = Path(path)
    path = path if path.suffix == ".npz" else path.with_name(path.name + ".npz")
    if not path.parent.is_dir():
        raise ValueError(
            f"cannot save to {str(path)!r}: the folder {str(path.parent)!r} does not exist; create it first"
        )
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(aside, "wb") as file:
            np.savez(file, __facts__=np.array(json.dumps({"format": FORMAT} | facts)), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        raise ValueError(
            f"cannot save to {str(path)!r}: {error.strerror}; choose a folder that can be written"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return path


def read(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and facts of a file written by :func:`write`."""
    path = Path(path)
    path = path if path.exists() or path.suffix == ".npz" else path.with_name(path.name + ".npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("__facts__")))
    except FileNotFoundError:
        raise ValueError(
            f"there is no file {str(path)!r}; check the path of the saved run"
        ) from None
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{str(path)!r} is not a run saved by jko ({error})") from None
    if facts.get("format") != FORMAT:
        raise ValueError(
            f"{str(path)!r} has format {facts.get('format')}; this version of jko reads format {FORMAT}"
        )
    return arrays, facts


def pack_states(states: tuple[State, ...]) -> tuple[Arrays, dict[str, Any]]:
    """States of one kind as arrays ``state/k/...`` and facts."""
    if isinstance(states[0], ChargedSpan):
        return _pack_spans(states)
    arrays: Arrays = {}
    kind = type(states[0]).__name__
    for k, state in enumerate(states):
        arrays |= {f"state/{k}/{name}": getattr(state, name).cpu().numpy() for name in FIELDS[kind]}
    facts: dict[str, Any] = {"kind": kind, "states": len(states)}
    if isinstance(states[0], (GridDensity, ChargedDensity)):
        grid = states[0].grid
        facts |= {"grid": {"bounds": grid.bounds, "shape": grid.shape}}
    else:
        facts |= {"domain": _pack_domain(states[0].domain)}
    return arrays, facts


def unpack_states(
    arrays: Arrays,
    facts: dict[str, Any],
    domain: Domain | None = None,
    like: State | None = None,
) -> tuple[State, ...]:
    """The inverse of :func:`pack_states`; ``domain`` replaces one that was given by its projection.

    ``like`` is a :class:`ChargedSpan` with the functions H0 and h, which a file cannot hold.
    """
    kind = facts["kind"]
    if kind == "ChargedSpan":
        return _unpack_spans(arrays, facts, domain, like)
    rows = [
        [torch.from_numpy(arrays[f"state/{k}/{name}"]) for name in FIELDS[kind]]
        for k in range(facts["states"])
    ]
    if "grid" in facts:
        grid = Grid(facts["grid"]["bounds"], facts["grid"]["shape"])
        densities = {"GridDensity": GridDensity, "ChargedDensity": ChargedDensity}
        return tuple(densities[kind](grid, *row) for row in rows)
    domain = _unpack_domain(facts["domain"], domain)
    atoms = {
        "Particles": Particles,
        "ChargedParticles": ChargedParticles,
        "LineMesh": LineMesh,
        "ChargedMesh": ChargedMesh,
    }
    return tuple(atoms[kind](*row, domain=domain) for row in rows)


def _pack_spans(spans: tuple[State, ...]) -> tuple[Arrays, dict[str, Any]]:
    """The measures rho, and alpha and b; H0 and h are code."""
    assert all(isinstance(span, ChargedSpan) for span in spans)
    arrays, facts = pack_states(tuple(span.rho for span in spans))  # type: ignore[union-attr]
    arrays |= {f"span/{k}/b": span.b.cpu().numpy() for k, span in enumerate(spans)}  # type: ignore[union-attr]
    arrays |= {f"span/{k}/alpha": np.array(span.alpha) for k, span in enumerate(spans)}  # type: ignore[union-attr]
    return arrays, {"kind": "ChargedSpan", "states": len(spans), "rho": facts}


def _unpack_spans(
    arrays: Arrays, facts: dict[str, Any], domain: Domain | None, like: State | None
) -> tuple[State, ...]:
    if not isinstance(like, ChargedSpan):
        raise ValueError(
            "the run's states are pairs whose H is made of functions, which a file cannot hold; pass "
            "like=start, the ChargedSpan that the run began with"
        )
    rhos = unpack_states(arrays, facts["rho"], domain)
    spans = []
    for k, rho in enumerate(rhos):
        b = torch.from_numpy(arrays[f"span/{k}/b"])
        spans.append(
            ChargedSpan(rho, like.H0, like.h, like.x, float(arrays[f"span/{k}/alpha"]), b)  # type: ignore[arg-type]
        )
    return tuple(spans)


def _pack_domain(domain: Domain | None) -> Any:
    if domain is None:
        return None
    if isinstance(domain, Box):
        return {"Box": [domain.lower.tolist(), domain.upper.tolist()]}
    if isinstance(domain, Ball):
        return {"Ball": [domain.centre.tolist(), domain.radius]}
    if isinstance(domain, Cylinder):
        return {"Cylinder": [_pack_domain(domain.base)]}
    return {"given by its projection": []}


def _unpack_domain(packed: Any, given: Domain | None) -> Domain | None:
    if packed is None:
        return given
    ((kind, values),) = packed.items()
    if kind == "Cylinder":
        base = _unpack_domain(values[0], given.base if isinstance(given, Cylinder) else given)
        assert base is not None
        return Cylinder(base)
    if kind in ("Box", "Ball"):
        return {"Box": Box, "Ball": Ball}[kind](*values)
    if given is None:
        raise ValueError(
            "the run's domain was given by its projection, which a file cannot hold; pass domain=... to load"
        )
    return given
