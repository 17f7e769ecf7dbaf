r"""
Heat round a torus
==================

Where an axis is periodic there are no walls: what leaves the box at one end comes in at the other. The flow of the
entropy, (4.1), is the heat equation, and on a torus of side 1 each wave of Fourier decays by itself,

.. math:: \partial_t \rho = \Delta \rho , \qquad
          \hat\rho_k(t) = e^{- 4 \pi^2 |k|^2 t} \hat\rho_k(0) .

So JKO steps are held against a formula, across the seam as well as anywhere else.
"""

import numpy as np
import torch

import jko
from jko import plots

# %%
# A bump at a corner of the box: on the torus, its four quarters are one.

grid = jko.Grid((0.0, 1.0), (64, 64), periodic=True)


def bump(x):
    """A smooth function of the circle on each axis, large near 0 and near 1."""
    return (2 * (torch.cos(2 * torch.pi * (x - 0.03)) - 1).sum(-1)).exp()


start = jko.GridDensity.from_function(grid, bump)


def heat(t):
    """The exact solution, in the cells."""
    waves = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in grid.shape), indexing="ij")
    decay = np.exp(-4 * np.pi**2 * t * sum(k**2 for k in waves))
    return np.fft.ifft2(decay * np.fft.fft2(start.values.numpy())).real


# %%
# JKO steps of order one, and the scheme of order two, against it.

t1, counts = 0.02, (2, 4, 8)
schemes = {"JKO steps": jko.Implicit(), "SDIRK2": jko.SDIRK2()}
errors, runs = {}, {}
for name, scheme in schemes.items():
    for count in counts:
        run = jko.flow(
            jko.Entropy(),
            start,
            tau=t1 / count,
            t1=t1,
            scheme=scheme,
            solver=jko.Dynamic(tol=1e-7),
        )
        runs[name] = run
        miss = np.abs(run.final.values.numpy() - heat(t1)).sum() * grid.cell
        errors.setdefault(name, []).append(float(miss))
orders = {name: np.log2(e[-2] / e[-1]) for name, e in errors.items()}
print({name: round(float(order), 2) for name, order in orders.items()})
assert abs(orders["JKO steps"] - 1) < 0.15
assert orders["SDIRK2"] > 1.8

# %%
# W2 on the torus goes the short way round: of a narrow bump and its copy across the seam, the length of the move.

coarse = jko.Grid((0.0, 1.0), (32, 32), periodic=True)
narrow = jko.GridDensity.from_function(coarse, lambda x: bump(x) ** 15)
copy = jko.GridDensity(coarse, narrow.values.roll((8, -4), dims=(0, 1)))
moved = jko.distance(narrow, copy).value
print(
    f"distance of a copy moved by (1/4, -1/8): {moved:.6f}, its length {np.hypot(1 / 4, 1 / 8):.6f}"
)
assert abs(moved - np.hypot(1 / 4, 1 / 8)) < 1e-6

# %%
# Left the start, in the middle the end, right the errors.

figure, (left, middle, right) = plots.canvas(1, 3, (10.2, 3.4))
for ax, rho, title in ((left, start, "$t = 0$"), (middle, run.final, f"$t = {t1:g}$")):
    plots.density(rho, ax)
    ax.set_title(title, fontsize=11)
for (name, e), colour, marker in zip(errors.items(), (plots.BLUE, plots.RED), "os", strict=True):
    right.loglog([t1 / n for n in counts], e, color=colour, marker=marker, label=name)
right.set(xlabel=r"step $\tau$", ylabel="$L^1$ error")
right.set_xticks([t1 / n for n in counts], [f"{t1 / n:g}" for n in counts])
right.minorticks_off()
right.legend(frameon=False, fontsize=9)
plots.show(figure, "torus")
