"""How much memory a training would take, and how much there is."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

VECTORS = 12  # arrays of the size of the state that a step holds at once, at least; features come in blocks
GROUP = Path("/sys/fs/cgroup/memory.max")  # the limit of a container


def needed(neurons: int, rows: int, inputs: int, states: int) -> float:
    """Bytes that the steps take at least, with ``states`` of them kept."""
    return 8.0 * (rows + neurons * (VECTORS + states)) * (inputs + 2)


def available() -> float:
    """Bytes that this process may ever have; infinite where the system does not say."""
    limits = [math.inf]
    with suppress(AttributeError, ValueError, OSError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ValueError, OSError):  # "max", or no such file
        limits.append(float(GROUP.read_text()))
    with suppress(ImportError, OSError):
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits += [soft] * (soft != resource.RLIM_INFINITY)
    return min(limits)


def refuse_too_large(neurons: int, rows: int, inputs: int, states: int) -> None:
    """ValueError if the steps cannot fit."""
    need, have = needed(neurons, rows, inputs, states), available()
    if need > have:
        raise ValueError(
            f"--neurons {neurons} on {rows} training rows with {inputs} inputs takes at least {need / 2**30:,.1f} GiB "
            f"of memory, and there are {have / 2**30:,.1f} GiB; take fewer neurons"
        )
