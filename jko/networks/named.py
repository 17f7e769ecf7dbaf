"""Activations by name."""

from __future__ import annotations

import torch
from torch.nn import functional

from jko.networks.activations import Ridge

#: elementwise functions by the names that torch has for them; all but relu have a continuous slope
ACTIVATIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softplus": functional.softplus,
    "sin": torch.sin,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "mish": functional.mish,
    "elu": functional.elu,
    "celu": functional.celu,
    "logsigmoid": functional.logsigmoid,
    "softsign": functional.softsign,
    "tanhshrink": functional.tanhshrink,
    "atan": torch.atan,
    "asinh": torch.asinh,
    "erf": torch.erf,
    "cos": torch.cos,
}


def ridge(name: str) -> Ridge:
    """The activation :class:`jko.Ridge` of a function by its name in torch, such as ``"tanh"`` or ``"gelu"``.

    Raises
    ------
    ValueError
        For a name that is none of :data:`ACTIVATIONS`.

    Examples
    --------
    >>> from jko.networks import ridge
    >>> ridge("silu").sigma.__name__
    'silu'
    """
    if name not in ACTIVATIONS:
        raise ValueError(
            f"there is no activation {name!r}; known by name are {', '.join(ACTIVATIONS)}, and jko.Ridge(sigma) takes "
            "any elementwise torch function"
        )
    return Ridge(ACTIVATIONS[name])
