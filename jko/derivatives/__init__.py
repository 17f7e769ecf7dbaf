"""Derivatives of callables that people hand in: here, and nowhere else.

Torch records what a callable does and differentiates that.  It records nothing of what happens outside it: in numpy, in
JAX, behind ``.detach()`` or ``torch.no_grad()``.  A value without a record is *not* a value without a slope:

- it is asked for again at other points; the same everywhere, it is constant and its slope is zero;
- anything else is refused, in a sentence that says how to give the derivative (``gradient=``);
- what is recorded in part looks whole, so the slope of a callable is compared once, for each dimension, with
  differences of its values.
"""

from jko.derivatives.callables import Differentiable
from jko.derivatives.comparison import Disagreement, along_moves, beside, probes
from jko.derivatives.recording import (
    OVERRIDE,
    derivative_along,
    differences,
    generic,
    gradient,
    hessian,
    leaf,
    recordable,
    recorded,
    recording,
    slope,
    width,
)

__all__ = [
    "OVERRIDE",
    "Differentiable",
    "Disagreement",
    "along_moves",
    "beside",
    "derivative_along",
    "differences",
    "generic",
    "gradient",
    "hessian",
    "leaf",
    "probes",
    "recordable",
    "recorded",
    "recording",
    "slope",
    "width",
]
