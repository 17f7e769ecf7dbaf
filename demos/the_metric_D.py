"""The metric D of Remark 3.4 between pairs (rho, H), in six pictures.

Couplings of two graphs; a geodesic that leaves the graphs; square waves that converge to no pair; the distance in the
class of flows of Theta, which is longer; three evolutions from one start; and the action as printed and as corrected.
Run it by ``python demos/the_metric_D.py [FOLDER]``; the picture goes to FOLDER, default demos/out.
"""

import sys
from pathlib import Path

import numpy as np
import torch

import jko
from jko import plots

figure, axes = plots.canvas(2, 3, (15.6, 8.6))
couplings, swap, waves, flows, systems, actions = axes


def normal(theta, mean=0.0, deviation=1.0):
    """A normal density, up to a factor."""
    return torch.exp(-0.5 * ((theta[:, 0] - mean) / deviation) ** 2)


# 1. D couples the graphs of two pairs as sets of points (theta, w)
line = jko.Grid((-3.0, 3.0), 60)
a = jko.ChargedDensity.from_function(
    line, lambda t: normal(t, -0.8, 0.7), lambda t: torch.sin(2 * t[:, 0])
)
b = jko.ChargedDensity.from_function(
    line, lambda t: normal(t, 0.8, 0.6), lambda t: 1.5 - 0.6 * t[:, 0]
)
found = jko.distance(a, b)
plots.coupling(a, b, couplings)
couplings.set_title(f"coupling of two graphs: $D^2$ = {found.squared:.4f}", fontsize=11)
print(f"coupling: D^2 = {found.squared:.6f}, gap {found.gap:.1e}")

# 2. two bumps change their charges by changing places: half way, H has two values at one theta
wide = jko.Grid((-1.6, 1.6), 320)


def bumps(theta):
    """Two bumps at -1 and 1."""
    return normal(theta, -1.0, 0.1) + normal(theta, 1.0, 0.1)


start, end = (
    jko.ChargedDensity.from_function(wide, bumps, lambda t, s=s: s * 2 * torch.tanh(10 * t[:, 0]))
    for s in (1.0, -1.0)
)
ways = [jko.geodesic(start, end, s) for s in (0.0, 1.0)]  # atoms of one plan, in one order
for (w, x0), (_, x1), mass in zip(ways[0].points, ways[1].points, ways[0].weights, strict=True):
    colour = plots.RED if w > 0 else plots.BLUE
    swap.plot([x0, x1], [0, 1], color=colour, lw=0.8, alpha=min(1.0, 40 * float(mass)))
for w, colour in ((2, plots.RED), (-2, plots.BLUE)):
    swap.plot([], [], color=colour, label=f"$w \\approx {w}$")
apart = jko.distance(start, end).squared, jko.metrics.flow_distance(start, end).squared
swap.set_title(f"a swap: $D^2$ = {apart[0]:.3f}, keeping the order {apart[1]:.3f}", fontsize=11)
swap.set(xlabel="$\\theta$", ylabel="$s$ along the geodesic")
swap.legend(frameon=False, fontsize=9, loc="center left")
print(f"swap: D^2 = {apart[0]:.6f}, by flows of the line {apart[1]:.6f}")

# 3. square waves of period p are within p^2/12 of a measure that is no pair
unit, cells = jko.Grid((0.0, 1.0), 512), 512
young = torch.cat([unit.centres, unit.centres])
halves = torch.cat([torch.ones(cells), -torch.ones(cells)]).double()[:, None]
limit = jko.Particles(torch.cat([halves, young], dim=1))
periods, squares = [], []
for count in (2, 4, 8, 16):
    H = 1 - 2 * ((2 * count * unit.centres[:, 0]).floor() % 2)
    wave = jko.ChargedDensity(unit, torch.ones(cells, dtype=torch.float64), H)
    periods.append(1 / count)
    squares.append(jko.distance(wave.lift(), limit).squared)
waves.loglog(periods, squares, "o", color=plots.BLUE, label="computed")
waves.loglog(periods, np.square(periods) / 12, "--", color=plots.BLACK, lw=1, label="$p^2/12$")
waves.set_title("square waves tend to a Young measure", fontsize=11)
waves.set(xlabel="period $p$", ylabel="$D^2$ to half 1, half $-1$ at each $\\theta$")
waves.set_xticks(periods, [f"1/{round(1 / p)}" for p in periods])
waves.minorticks_off()
waves.legend(frameon=False, fontsize=9)
print("square waves: 12 D^2 / p^2 =", np.round(12 * np.array(squares) / np.square(periods), 4))

# 4. H = a theta to -a theta over a normal law: D turns the graph round, a flow of the line bends it through zero
slopes, static, ordered = np.linspace(0.2, 2.4, 12), [], []
middle = jko.Grid((-5.0, 5.0), 200)
for k in slopes:
    ends = [
        jko.ChargedDensity.from_function(middle, normal, lambda t, c=c: c * t[:, 0])
        for c in (k, -k)
    ]
    static.append(jko.distance(*ends).squared)
    ordered.append(jko.metrics.flow_distance(*ends).squared)
flows.plot(slopes, static, "o-", color=plots.BLUE, ms=4, label="$D^2$")
flows.plot(slopes, ordered, "s-", color=plots.RED, ms=4, label="by flows of the line")
flows.plot(
    slopes, 4 * np.minimum(1, slopes**2), "--", color=plots.BLACK, lw=1, label="4 min(1, $a^2$)"
)
flows.set_title("$H = a\\theta$ to $-a\\theta$ over $N(0, 1)$", fontsize=11)
flows.set(xlabel="slope $a$", ylabel="squared distance")
flows.legend(frameon=False, fontsize=9)

# 5. the three systems of section 3 from one start: one datum, h = e^(-theta), a steep H
narrow = jko.Grid((-0.5, 0.5), 400)
pair = jko.ChargedDensity.from_function(
    narrow, lambda t: normal(t, 0.0, 0.05), lambda t: 1 + torch.tanh(3 * t[:, 0])
)
zero = torch.zeros(1, 1, dtype=torch.float64)


def h(theta, x):
    """e^(-theta), whatever x is."""
    return torch.exp(-theta) + 0 * x.T


value = float(pair.integrate(pair.H.reshape(-1) * torch.exp(-narrow.centres[:, 0])))
G = jko.Risk(jko.Data(zero, [value - 1], [1.0]), activation=h)
times = np.linspace(0, 0.05, 26)
for system, colour in (
    (jko.limits.separated, plots.BLUE),
    (jko.limits.transported, plots.RED),
    (jko.limits.chaos, plots.GREEN),
):
    run = system(G, pair, t1=0.05, times=times)
    rate = system.rate(G, pair)
    systems.plot(
        run.times, run.energies, color=colour, lw=1.8, label=f"{system.equation}: rate {rate:.3f}"
    )
    print(f"{system.equation}: dG/dt = {rate:.5f} at 0, G(.05) = {run.energies[-1]:.6f}")
systems.set_title("three evolutions from one start; one raises $G$", fontsize=11)
systems.set(xlabel="$t$", ylabel="$G(\\rho_t, H_t)$")
systems.legend(frameon=False, fontsize=9)

# 6. H goes from k sin 3 theta to -k sin 3 theta in place: as printed that costs nothing
box, heights = jko.Grid((-2.0, 2.0), 200), np.linspace(0.1, 1.0, 10)
printed, corrected, least = [], [], []
for k in heights:
    path = [
        jko.ChargedDensity.from_function(box, normal, lambda t, c=c: c * torch.sin(3 * t[:, 0]))
        for c in np.linspace(k, -k, 5)
    ]
    cost = jko.metrics.action(path)
    printed.append(cost.printed)
    corrected.append(cost.corrected)
    least.append(jko.distance(path[0], path[-1]).squared)
actions.plot(heights, corrected, "o-", color=plots.BLUE, ms=4, label="action, corrected")
actions.plot(heights, least, "s-", color=plots.GREEN, ms=4, label="$D^2$ of the ends")
actions.plot(heights, printed, "^-", color=plots.RED, ms=4, label="action as printed")
actions.set_title("$H$ changes sign in place: $k \\sin 3\\theta$", fontsize=11)
actions.set(xlabel="height $k$", ylabel="action, squared distance")
actions.legend(frameon=False, fontsize=9)
print(
    f"sign change: printed {printed[-1]:.5f}, corrected {corrected[-1]:.5f}, D^2 = {least[-1]:.4f}"
)

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "out"
folder.mkdir(parents=True, exist_ok=True)
print(plots.write(figure, folder / "the_metric_D.png"))
