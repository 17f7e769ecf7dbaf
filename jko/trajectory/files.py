"""The fields of a trajectory from its file, or from a journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from jko.measures import State
from jko.spaces import Domain
from jko.status import Status
from jko.storage import scan, states
from jko.storage.kept import kept
from jko.storage.states import Arrays, Facts, checked, names, numbered


def unpacked(
    arrays: Arrays, facts: Facts, domain: Domain | None = None, like: State | None = None
) -> dict[str, Any]:
    """The fields by name, from arrays and facts; refuses what belongs to none."""
    count, status = checked(facts), _status(facts.get("status"))
    fields = names(facts)
    rows = [{n: arrays.pop(numbered(n, k)) for n in fields} for k in range(count)]
    columns = _taken(arrays, "column/")
    memory = {name: torch.from_numpy(a) for name, a in _taken(arrays, "memory/").items()}
    if arrays.keys() != {"times", "energies", "kept"}:
        raise ValueError(f"its arrays are {sorted(arrays)} besides states, columns and memory")
    found = tuple(states.unpacked(row, facts, domain, like) for row in rows)
    return {**arrays, "states": found, "columns": columns, "status": status, "memory": memory}


def of_journal(
    file: Path, domain: Domain | None, like: State | None, until: int | None
) -> dict[str, Any]:
    """The fields by name; states that are far back stay on disk."""
    record, source = scan.opened(file, domain, like, until)
    return {
        "times": np.array(record.times),
        "energies": np.array(record.energies),
        "states": kept(np.array(record.places), {}, source),
        "kept": np.array(record.kept),
        "columns": record.figures.arrays(0, len(record.times) - 1),
        "status": _status(record.status or Status.INTERRUPTED.name),
        "memory": {
            name.removeprefix("memory/"): torch.from_numpy(a) for name, a in record.memory.items()
        },
    }


def _taken(arrays: Arrays, prefix: str) -> Arrays:
    """Those whose names begin with ``prefix``, taken out."""
    found = [name for name in arrays if name.startswith(prefix)]
    return {name.removeprefix(prefix): arrays.pop(name) for name in found}


def _status(name: object) -> Status:
    """The status by its name; files of 0.1 say CONVERGED of a run that came to its end."""
    if not isinstance(name, str) or name not in Status.__members__:
        raise ValueError(f"its status is {name!r}, which none is")
    return Status.FINISHED if name == Status.CONVERGED.name else Status[name]
