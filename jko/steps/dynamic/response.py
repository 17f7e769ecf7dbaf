"""How the solution of a dual moves with its potential: ``S = W - W T H^-1 (W T)^T``, and Newton's own step."""

from __future__ import annotations

from typing import Protocol

import torch

from jko.steps.dynamic.cascade import Solved
from jko.steps.dynamic.joint import Features, Joint
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import StepDual, Stepper
from jko.steps.dynamic.tensors import TensorResponse, TensorStepper


class Responds(Protocol):
    """How a solution moves, up to ``reduction``: changes of density or potential phi, grid fields, and iterations."""

    def respond(self, r: Array, reduction: float) -> tuple[Array, Array, int]:
        """``(S r, dphi)``: where the potential changes by -r."""

    def correct(self, reduction: float) -> tuple[Array, Array, float, int]:
        """``(drho, dphi, F . H^-1 F)``: where its residual F vanishes."""


def responds(solved: Solved) -> Responds:
    """The linearisation at a solution."""
    if isinstance(solved.stepper, TensorStepper):
        return TensorResponse(solved.stepper)
    assert isinstance(solved.stepper, Stepper)
    return Response(solved.stepper, solved.joint)


class Response:
    """The linearisation at a solution by compiled kernels."""

    def __init__(self, step: Stepper, joint: Joint | None) -> None:
        self.step = step
        self.joint = joint or Joint(step, Features.none(step.data.rho0.shape))
        step.prepare()
        self.joint.couple()

    def respond(self, r: Array, reduction: float) -> tuple[Array, Array, int]:
        """``(S r, dphi)``, and iterations."""
        rho, phi, cg = self.joint.respond(self.step.pad(r), reduction)
        return self.step.crop(rho), self.step.crop(phi), cg

    def correct(self, reduction: float) -> tuple[Array, Array, float, int]:
        """``(drho, dphi, F . H^-1 F)`` for ``dphi = -H^-1 F``, and iterations."""
        step = self.step
        rho, phi, worth, cg = self.joint.correct(reduction)
        return step.crop(rho), step.crop(phi), worth, cg


def weights(step: StepDual) -> Array:
    """``W``, the derivative of the density in the price, on the grid."""
    if isinstance(step, TensorStepper):
        return step.crop(sum(step.fields.w, torch.zeros_like(step.rho)))
    assert isinstance(step, Stepper)
    return step.crop(step.w.sum(0))
