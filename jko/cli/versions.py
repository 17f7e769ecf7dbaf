"""Versions of what computes, for files that are read later."""

from __future__ import annotations

import platform

import numpy
import scipy
import torch

import jko


def versions() -> dict[str, str]:
    """By name."""
    return {
        "jko": jko.__version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "torch": str(torch.__version__),
    }
