"""The dual of a step in torch: the formulas of the compiled kernels on whole fields, for states on a GPU.

Fields are flat with ghosts (see :mod:`jko.steps.dynamic.layout`), so a neighbour is a :func:`torch.roll` away: what
rolls round lands on ghosts, where every weight is zero.  Nothing here is serial.
"""

from jko.steps.dynamic.tensors.response import TensorResponse
from jko.steps.dynamic.tensors.stepper import TensorStepper

__all__ = ["TensorResponse", "TensorStepper"]
