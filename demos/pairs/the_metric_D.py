r"""
The metric D in six pictures
============================

Remark 3.4 of the survey puts a distance on pairs :math:`(\rho, H)`, a measure of the :math:`\theta` and a
function on it:

.. math:: D^2\big((\rho_1, H_1), (\rho_2, H_2)\big) = \inf_{\gamma \in \Gamma(\rho_1, \rho_2)}
          \int |\theta_1 - \theta_2|^2 + |H_1(\theta_1) - H_2(\theta_2)|^2 \, d\gamma ,

which is :math:`W_2` between the graphs :math:`(H, \mathrm{id})_\# \rho`. Six things that one should know of it.
"""

import numpy as np
import torch

import jko
from jko import plots

figure, axes = plots.canvas(3, 2, (9.4, 11.4))
couplings, swap, waves, flows, systems, actions = axes


def normal(theta, mean=0.0, deviation=1.0):
    """A normal density, up to a factor."""
    return torch.exp(-0.5 * ((theta[:, 0] - mean) / deviation) ** 2)


def pair(grid, rho, H):
    """A pair on a grid of the line."""
    return jko.ChargedDensity.from_function(grid, rho, H)


# %%
# **It couples graphs**, as sets of points :math:`(\theta, w)`, and comes with the plan and a proof that it is
# optimal.

line = jko.Grid((-3.0, 3.0), 60)
a = pair(line, lambda t: normal(t, -0.8, 0.7), lambda t: torch.sin(2 * t[:, 0]))
b = pair(line, lambda t: normal(t, 0.8, 0.6), lambda t: 1.5 - 0.6 * t[:, 0])
found = jko.distance(a, b)
plots.coupling(a, b, couplings)
couplings.set_title(f"coupling of two graphs: $D^2$ = {found.squared:.4f}", fontsize=11)
print(f"coupling: D^2 = {found.squared:.6f}, gap {found.gap:.1e}")
assert abs(found.gap) < 1e-10

# %%
# **Geodesics leave the graphs.** Two bumps change their charges by changing places; half way, :math:`H` has two
# values at one :math:`\theta`. Flows of the line keep the order, and must carry :math:`H` through: four times
# the price.

wide = jko.Grid((-1.6, 1.6), 160)
start, end = (
    pair(
        wide,
        lambda t: normal(t, -1.0, 0.1) + normal(t, 1.0, 0.1),
        lambda t, s=s: s * 2 * torch.tanh(10 * t[:, 0]),
    )
    for s in (1.0, -1.0)
)
ways = [jko.geodesic(start, end, s) for s in (0.0, 1.0)]  # atoms of one plan, in one order
for (w, x0), (_, x1), mass in zip(ways[0].points, ways[1].points, ways[0].weights, strict=True):
    colour = plots.RED if w > 0 else plots.BLUE
    swap.plot([x0, x1], [0, 1], color=colour, lw=1.2, alpha=min(1.0, 20 * float(mass)))
for w, colour in ((2, plots.RED), (-2, plots.BLUE)):
    swap.plot([], [], color=colour, label=f"$w \\approx {w}$")
apart = jko.distance(start, end).squared, jko.metrics.flow_distance(start, end).squared
swap.set_title(f"a swap: $D^2$ = {apart[0]:.2f}, keeping the order {apart[1]:.2f}", fontsize=11)
swap.set(xlabel="$\\theta$", ylabel="$s$ along the geodesic")
swap.legend(frameon=False, fontsize=9, loc="center left")
print(f"swap: D^2 = {apart[0]:.4f}, by flows of the line {apart[1]:.4f}")
assert abs(apart[0] - 4) < 0.01
assert abs(apart[1] - 16) < 0.01

# %%
# **The pairs are not complete.** Square waves of period :math:`p` are within :math:`p^2/12` of the measure that
# has 1 and -1 at every :math:`\theta`, which is no pair.

unit = jko.Grid((0.0, 1.0), 256)
young = torch.cat([unit.centres, unit.centres])
halves = torch.cat([torch.ones(256), -torch.ones(256)]).double()[:, None]
limit = jko.Particles(torch.cat([halves, young], dim=1))
periods, squares = [1 / 2, 1 / 4, 1 / 8, 1 / 16], []
for p in periods:
    H = 1 - 2 * ((2 * unit.centres[:, 0] / p).floor() % 2)
    wave = jko.ChargedDensity(unit, torch.ones(256, dtype=torch.float64), H)
    squares.append(jko.distance(wave.lift(), limit).squared)
waves.loglog(periods, squares, "o", color=plots.BLUE, label="computed")
waves.loglog(periods, np.square(periods) / 12, "--", color=plots.BLACK, lw=1, label="$p^2/12$")
waves.set_title("square waves tend to a Young measure", fontsize=11)
waves.set(xlabel="period $p$", ylabel="$D^2$ to half 1, half $-1$")
waves.set_xticks(periods, [f"1/{round(1 / p)}" for p in periods])
waves.minorticks_off()
waves.legend(frameon=False, fontsize=9)
print("square waves: 12 D^2 / p^2 =", np.round(12 * np.array(squares) / np.square(periods), 4))
assert np.abs(12 * np.array(squares) / np.square(periods) - 1).max() < 0.01

# %%
# **Flows are longer.** From :math:`H = a \theta` to :math:`-a \theta` over a normal law :math:`D` turns the
# graph round, :math:`D^2 = 4 \min(1, a^2)`; a flow of the line bends it through zero, at :math:`4 a^2`.

slopes, static, ordered = np.linspace(0.3, 2.4, 8), [], []
middle = jko.Grid((-5.0, 5.0), 120)
for k in slopes:
    ends = [pair(middle, normal, lambda t, c=c: c * t[:, 0]) for c in (k, -k)]
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
assert np.abs(static - 4 * np.minimum(1, slopes**2)).max() < 0.02
assert np.abs(ordered - 4 * slopes**2).max() < 0.1

# %%
# **Three evolutions from one start.** One datum, :math:`h = e^{-\theta}`, a steep :math:`H`: (3.19) and (3.23),
# which are gradient flows, lower the energy :math:`G`; (3.21), which transports :math:`H`, raises it.

narrow = jko.Grid((-0.5, 0.5), 200)
steep = pair(narrow, lambda t: normal(t, 0.0, 0.05), lambda t: 1 + torch.tanh(3 * t[:, 0]))
value = float(steep.integrate(steep.H.reshape(-1) * torch.exp(-narrow.centres[:, 0])))
G = jko.Risk(jko.Data([[0.0]], [value - 1], [1.0]), activation=lambda t, x: torch.exp(-t) + 0 * x.T)
times = np.linspace(0, 0.05, 11)
for system, colour, style in (
    (jko.limits.separated, plots.BLUE, "--"),
    (jko.limits.transported, plots.RED, ":"),
    (jko.limits.chaos, plots.GREEN, "-"),
):
    run, rate = system(G, steep, t1=0.05, times=times), system.rate(G, steep)
    label = f"{system.equation}: rate {rate:.2f}"
    systems.plot(run.times, run.energies, color=colour, ls=style, lw=1.8, label=label)
    print(f"{system.equation}: dG/dt = {rate:.5f} at 0, G(.05) = {run.energies[-1]:.6f}")
    assert (run.energies[-1] > run.energies[0]) == (system is jko.limits.transported)
systems.set_title("three evolutions from one start; one raises $G$", fontsize=11)
systems.set(xlabel="$t$", ylabel="$G(\\rho_t, H_t)$")
systems.legend(frameon=False, fontsize=9)

# %%
# **The action as printed** in Remark 3.4 charges nothing for a change of :math:`H` in place; corrected, with
# :math:`|\partial_s H + v \cdot \nabla H|^2`, it is never below :math:`D^2`,
# up to the width of a cell.

box, heights = jko.Grid((-2.0, 2.0), 120), np.linspace(0.1, 1.0, 8)
printed, corrected, least = [], [], []
for k in heights:
    path = [
        pair(box, normal, lambda t, c=c: c * torch.sin(3 * t[:, 0])) for c in np.linspace(k, -k, 5)
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
print(f"sign change: printed {printed[-1]:.4f}, corrected {corrected[-1]:.4f}, D^2 {least[-1]:.4f}")
assert max(printed) < 1e-12
assert all(up > 0.98 * low for up, low in zip(corrected, least, strict=True))

# %%
# The six of them.

plots.show(figure, "the_metric_D")
