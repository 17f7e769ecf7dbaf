r"""
No room for more
================

People who may not stand closer than so many per unit area, and who all want to go down :math:`V`: the energy is
:math:`\int V d\rho` as long as :math:`\rho \le 1` and infinite else, the limit :math:`m \to \infty` of porous media.
Its gradient flow has a pressure p, which acts where there is no room,

.. math:: \partial_t \rho = \operatorname{div} \big( \rho \nabla (V + p) \big) , \qquad
          p \ge 0 , \qquad \rho \le 1 , \qquad p \, (1 - \rho) = 0 .
"""

import numpy as np
import torch

import jko
from jko import plots
from jko.energies import Congestion

# %%
# One step without V is the projection in W2. A disc that is twice too dense becomes one of twice its area.

square = jko.Grid((0.0, 2.0), (64, 64))
radius = 1 / np.sqrt(2 * np.pi)
disc = jko.GridDensity.from_function(square, lambda x: ((x - 1).norm(dim=1) < radius).double())
spread = jko.step(Congestion(1.0), disc, tau=1.0)
moment = float(spread.state.covariance().trace())
print(f"second moment {moment:.4f}, of the disc of density 1: {1 / (2 * np.pi):.4f}")
assert abs(moment * 2 * np.pi - 1) < 0.02
assert float(spread.state.values.max()) <= 1 + 1e-8

# %%
# A crowd of mass one before a door.

room = jko.Grid(((0.0, 4.0), (0.0, 2.0)), (64, 32))


def way(x):
    """The distance to the middle of the door, infinite in the wall; behind it straight on."""
    wall = ((x[:, 0] - 2.5).abs() < 0.06) & ((x[:, 1] - 1.0).abs() > 0.25)
    aside = ((x[:, 1] - 1.0).abs() - 0.15).clamp(min=0)
    before = torch.hypot(2.5 - x[:, 0], aside) + 1.5
    return torch.where(wall, torch.inf, torch.where(x[:, 0] < 2.5, before, 4.0 - x[:, 0]))


F = jko.Potential(way) + Congestion(1.0)
start = jko.GridDensity.from_function(
    room, lambda x: ((x[:, 0] < 1.2) & ((x[:, 1] - 1).abs() < 0.9)).double()
)
pressures = jko.observers.Record(lambda k, t, result: result.pressure)
flow = jko.flow(F, start, tau=0.08, steps=32, observers=[pressures], retry=3)
most = max(float(rho.values.max()) for rho in flow.states)
both = max(
    float((p * (1 - rho.values)).abs().max() / p.max().clamp(min=1e-300))
    for p, rho in zip(pressures.values, flow.states[1:], strict=True)
)
print(f"largest density {most:.9f}, largest p (1 - rho) / max p {both:.1e}")
assert most <= 1 + 1e-8
assert both < 1e-3
assert flow.slacks.min() >= 0

# %%
# Above the density; below the pressure, which is highest in the middle of the jam.

figure, axes = plots.canvas(2, 3, (12.4, 5.0))
for above, below, k in zip(axes[:3], axes[3:], (6, 14, 28), strict=True):
    plots.density(flow.states[k], above)
    above.set_title(f"$t = {flow.times[k]:g}$", fontsize=11)
    p = pressures.values[k - 1]
    below.imshow(p.numpy().T, origin="lower", extent=(0, 4, 0, 2), cmap="Oranges")
    below.set(xlabel="$x_1$", ylabel="$x_2$")
    below.set_title("pressure", fontsize=11)
    for ax in (above, below):
        plots.obstacles(F, start, ax)
plots.show(figure, "congestion")
