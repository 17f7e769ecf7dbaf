"""A drop in a porous medium spreads with a sharp front: JKO steps and SDIRK2 against two exact answers.

One is the solution of ``d_t rho = Lap rho^2`` (Barenblatt, Pattle).  The other is the exact JKO iterate: a step takes
one such profile into another, so that only its radius has to be found.
Run it by ``python demos/barenblatt.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import torch

import jko
from jko import exact, plots

START, TIME = 2e-4, 1e-3
COUNTS = (2, 4, 8, 16, 32)
SOLVER = jko.Dynamic(tol=1e-7, eps=1e-5)
medium = {"m": 2, "d": 2, "c": 2}  # c PorousMedium(m) flows by d_t rho = (c / m) Lap rho^m
E = medium["c"] * jko.PorousMedium(medium["m"])
grid, fine = (jko.Grid((0.0, 1.0), (n, n)) for n in (128, 512))


def drop(R):
    """The exact profile of radius R: means over the cells, by 16 points in each."""
    values = exact.barenblatt(fine.centres.numpy(), R=R, centre=0.5)
    means = torch.from_numpy(values.reshape(128, 4, 128, 4).mean((1, 3)))
    return jko.GridDensity(grid, means / (means.sum() * grid.cell))


def error(a, b):
    """Their L1 distance."""
    return float((a.values - b.values).abs().sum()) * grid.cell


R0 = float(exact.barenblatt_flow(0.0, t=START, **medium))
limit = drop(float(exact.barenblatt_flow(R0, t=TIME, **medium)))
tables, ends, taus = {}, {}, [TIME / steps for steps in COUNTS]
for name, scheme in (("JKO steps", jko.Implicit()), ("SDIRK2", jko.SDIRK2())):

    def run(tau, name=name, scheme=scheme):
        flow = jko.flow(E, drop(R0), tau=tau, t1=TIME, scheme=scheme, solver=SOLVER)
        ends[name, tau] = flow.final
        print(f"{name}, tau = {tau:.1e}: smallest slack {flow.slacks.min():.1e}, ", end="")
        print(f"largest correction of mass {flow.columns['correction'].max():.0e}")
        return flow

    tables[name] = jko.convergence(run, limit, parameters=taus)
for name, table in tables.items():
    print(f"\n{name}, L1 error to the solution of the equation", table, sep="\n")
print("\nJKO steps, L1 error to the exact JKO iterate")
for tau, steps in zip(taus, COUNTS, strict=True):
    R = R0
    for _ in range(steps):
        R = exact.barenblatt_step(R, tau=tau, **medium)
    print(f"{tau:10.4g}  {error(ends['JKO steps', tau], drop(R)):11.4e}")

figure, (left, right) = plots.canvas(1, 2, (10.6, 4.6))
plots.convergence(tables, left)
left.set_ylabel("$L^1$ error at the end time")
left.set_title("Against $\\partial_t \\rho = \\Delta \\rho^2$, $128^2$ cells", fontsize=11)
x, middle = grid.axes[0], grid.shape[1] // 2
cuts = {
    "start": (drop(R0), plots.GREY, "-"),
    "exact solution": (limit, plots.BLACK, "-"),
    "4 JKO steps": (ends["JKO steps", taus[1]], plots.BLUE, "--"),
    "4 steps of SDIRK2": (ends["SDIRK2", taus[1]], plots.RED, ":"),
}
for name, (state, colour, style) in cuts.items():
    right.plot(x, state.values[:, middle], color=colour, ls=style, lw=1.8, label=name)
right.set(xlabel="$x_1$, at the middle of $x_2$", ylabel="density", ylim=(0, None))
right.legend(frameon=False, fontsize=9)
right.set_title("The drop at $t = 10^{-3}$", fontsize=11)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "barenblatt.png"))
