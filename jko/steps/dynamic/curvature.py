"""The second variation of what the dual does not know: interactions, risks of other losses, energies of the user."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from jko.derivatives import leaf, recording
from jko.energies import Energy, Interaction, joined
from jko.measures import GridDensity
from jko.metrics import as_array
from jko.numerics.convolution import Convolution, Recalling
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.setting import GridSetting

SHORT = 1e-5  # of the largest mass, what a difference of first variations moves


@dataclass(eq=False)
class SecondVariation:
    """``d -> d/ds dR/drho(rho + s d)`` at s = 0, of densities d on the cells.

    Exact for interactions, which are quadratic, and where torch records the first variation; else by differences.
    """

    setting: GridSetting
    state: GridDensity
    kernels: list[tuple[float, Convolution | Recalling]] = field(default_factory=list)
    others: Energy | None = None

    def __post_init__(self) -> None:
        rest = self.setting.parts.rest
        grid, like = self.state.grid, self.state.values
        others = []
        for c, E in () if rest is None else rest.terms:
            if isinstance(E, Interaction):
                self.kernels.append((c, E.on_cells(grid, like)))
            else:
                others.append((c, E))
        self.others = joined(others)
        self.weights, self.first = self.state.weights, None
        if self.others is not None:
            with recording():
                self.weights = leaf(self.state.weights)
                first = self.others.variation(self.setting.parts.measure(self.weights))
            self.first = first if first.requires_grad else None

    def __call__(self, d: Array) -> Array:
        """Of a change of the density, grid shape."""
        mass = self.setting.tensor(d) * self.state.grid.cell
        total = sum((c * K(mass) for c, K in self.kernels), torch.zeros_like(mass))
        parts = self.setting.parts
        if parts.features is not None and self.setting.risk is None:
            total = total + (parts.features.T @ (parts.features @ mass.reshape(-1))).reshape(
                d.shape
            )
        if self.others is not None:
            total = total + self._other(mass.reshape(-1)).reshape(d.shape)
        return as_array(total)

    def _other(self, mass: Tensor) -> Tensor:
        assert self.others is not None
        if self.first is not None:  # symmetric, so that its adjoint will do
            found = torch.autograd.grad(
                self.first, self.weights, mass, retain_graph=True, materialize_grads=True
            )[0]
            return found
        m, size = self.state.weights, float(mass.abs().max())
        if not size > 0:
            return torch.zeros_like(mass)
        h = SHORT * float(m.max()) / size
        up, down = (
            self.others.variation(self.setting.parts.measure((m + s * mass).clamp(min=0)))
            for s in (h, -h)
        )
        return (up - down) / (2 * h)
