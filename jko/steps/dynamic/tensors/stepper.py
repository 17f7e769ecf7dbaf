"""One step on one grid in torch: what :class:`jko.steps.dynamic.stepper.Stepper` is to the compiled kernels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jko.energies import Mixture
from jko.steps.dynamic.layout import Array, layout
from jko.steps.dynamic.stepper import CG_LIMIT, SHIFT, GridStep
from jko.steps.dynamic.tensors.dual import Fields, ahead, evaluate
from jko.steps.dynamic.tensors.multigrid import StencilHierarchy


class TensorStepper:
    """The dual J, its gradient, its Hessian and the solution of the Newton equation, on the device of a state.

    The line is a plane one cell wide here, so that it has a hierarchy too.
    """

    def __init__(self, data: GridStep, internal: Mixture, device: torch.device) -> None:
        self.data, self.internal, self.device = data, internal, device
        plane = data.rho0.ndim == 1
        shape = (*data.rho0.shape, 1) if plane else data.rho0.shape
        spacing = (*data.spacing, data.spacing[0]) if plane else data.spacing
        self.layout = layout(shape, spacing, np.isfinite(data.V).reshape(shape))
        self.hierarchy = StencilHierarchy(self.layout, device)
        self.inverse, self.strides = self.hierarchy.inverse[0], self.hierarchy.strides[0]
        self.rho0, self.V = self.pad(data.rho0), self.pad(data.V, np.inf)
        self.mass = float(self.rho0.sum())
        M0 = torch.stack([0.25 * (self.rho0 + ahead(self.rho0, s)) for s in self.strides])
        self.M0 = torch.where(self.inverse > 0, M0 + data.eps, torch.zeros_like(M0))
        longest = max(h * m for h, m in zip(spacing, shape, strict=True))
        self.shift = SHIFT * data.tau * data.eps * (np.pi / longest) ** 2
        self.fields: Fields

    def pad(self, values: Array, fill: float = 0.0) -> Tensor:
        """A grid field as a padded flat tensor on the device."""
        padded = self.layout.pad(values.reshape(self.layout.shape), fill)
        return torch.from_numpy(padded).to(self.device)

    def crop(self, values: Tensor) -> Array:
        """A padded flat tensor as a grid field."""
        return self.layout.crop(values.cpu().numpy()).reshape(self.data.rho0.shape)

    def slope(self, rho: Array) -> Array:
        """U' of a grid field of densities."""
        return self.internal.slope(torch.from_numpy(rho)).numpy()

    def action(self) -> float:
        """Int M |grad phi|^2 per unit cell volume."""
        return float((self.M * self.g * self.g).sum())

    def evaluate(self, phi: Tensor) -> float:
        """J(phi) per unit cell volume."""
        step = (self.inverse, self.data.tau, phi, self.V, self.rho0, self.M0)
        self.fields = evaluate(self.internal, self.strides, *step)
        return self.fields.J

    def imbalance(self) -> float:
        """|F|_1 relative to the mass."""
        return self.fields.norm / self.mass

    @property
    def rho(self) -> Tensor:
        """The density."""
        return self.fields.rho

    @property
    def F(self) -> Tensor:
        """The gradient of J."""
        return self.fields.F

    @property
    def M(self) -> Tensor:
        """The mobilities of the faces, (d, size)."""
        return self.fields.M

    @property
    def g(self) -> Tensor:
        """The slopes of the potential on the faces, (d, size)."""
        return self.fields.g

    def prepare(self) -> None:
        """Assemble the Hessian on all levels."""
        fields = self.fields
        K = fields.M * self.inverse
        self.hierarchy.assemble(self.data.tau, fields.w, K, fields.g, self.shift)

    def solve(self, rhs: Tensor, target: float, limit: int = CG_LIMIT) -> tuple[Tensor, int]:
        """H x = rhs up to an L1 residual ``target`` (relative to the mass): x and the CG iterations."""
        return self.hierarchy.solve(rhs, target * self.mass, limit)
