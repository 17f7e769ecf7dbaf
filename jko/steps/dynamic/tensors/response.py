"""How a solution moves with its potential, on whole fields: :class:`jko.steps.dynamic.reduced.Response` in torch."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from jko.steps.dynamic.joint import TIGHTER
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.tensors.dual import ahead
from jko.steps.dynamic.tensors.stepper import TensorStepper


class TensorResponse:
    """The linearisation at the stepper's last phi."""

    def __init__(self, step: TensorStepper) -> None:
        step.prepare()
        self.step, w = step, step.fields.w
        self.W = sum(w, torch.zeros_like(step.fields.rho))
        self.low, self.high = torch.zeros_like(step.g), torch.zeros_like(step.g)
        for corner, weight in zip(product((0, 1), repeat=len(step.strides)), w, strict=True):
            for a, side in enumerate(corner):
                (self.high if side else self.low)[a] += weight
        self.bend = 0.5 * step.data.tau * step.g * step.inverse

    def respond(self, r: Array, precision: float) -> tuple[Array, Array, int]:
        """``(S r, dphi)``, and iterations, as :meth:`jko.steps.dynamic.joint.Joint.respond`."""
        step, z, work = self.step, self.step.pad(r), 0
        F, slopes = step.hierarchy.apply(0, z) - self._gather(z), self.W * z - self._spread(z)
        target = precision * float(F.abs().sum())
        for _ in range(TIGHTER):
            y, cg = step.solve(F, target / step.mass)
            drho = slopes + self._spread(y)
            enough, work = precision * float(drho.abs().sum()), work + cg
            if target <= 3 * enough:
                break
            target = enough
        return step.crop(drho), step.crop(y - z), work

    def correct(self, reduction: float) -> tuple[Array, Array, float, int]:
        """``(drho, dphi, F . H^-1 F)`` for ``dphi = -H^-1 F``, and iterations."""
        step = self.step
        x, cg = step.solve(step.F, reduction * step.imbalance())
        return step.crop(-self._spread(x)), step.crop(-x), float(step.F @ x), cg

    def _spread(self, v: Tensor) -> Tensor:
        """``sum_c w_c T_c v``."""
        out = self.W * v
        for a, s in enumerate(self.step.strides):
            f = self.bend[a] * (ahead(v, s) - v)
            out = out + self.high[a] * f + self.low[a] * ahead(f, -s)
        return out

    def _gather(self, z: Tensor) -> Tensor:
        """Its adjoint."""
        out = self.W * z
        for a, s in enumerate(self.step.strides):
            f = self.bend[a] * (self.high[a] * z + ahead(self.low[a] * z, s))
            out = out + ahead(f, -s) - f
        return out
