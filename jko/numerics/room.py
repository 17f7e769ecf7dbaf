"""How much memory there is."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path

import torch

GROUP = Path("/sys/fs/cgroup/memory.max")  # the limit of a container


def available(device: torch.device | None = None) -> float:
    """Bytes that this process may ever have, or that a GPU has; infinite where the system does not say."""
    if device is not None and device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
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
