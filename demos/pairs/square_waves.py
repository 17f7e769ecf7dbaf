r"""
Square waves and their limit
============================

Pairs :math:`(\rho, H)` are not complete in the metric D of Remark 3.4. Square waves of period :math:`p`, 1 and -1 in
turn over the uniform law of [0, 1], tend to a *Young measure* that has half of its mass at 1 and half at -1 over
every :math:`\theta`:

.. math:: D^2(H_p, \mu) = \frac{p^2}{12}, \qquad \mu = \rho(d\theta) \otimes \tfrac12 (\delta_1 + \delta_{-1})(dw) .

The completion is the space of all measures of :math:`(w, \theta)` with :math:`W_2`. The flow (3.23) goes on there: the
flows from the waves tend to the flow from their limit, at order one in :math:`p`.
"""

import numpy as np
import torch

import jko
from jko import exact, plots
from jko.measures import YoungMeasure

figure, axes = plots.canvas(3, 3, (11.4, 9.6))
above, below, (distances, orders, spreads) = axes[:3], axes[3:6], axes[6:]

# %%
# A network with one inner weight, ``h = tanh(x + theta)``, the waves, and their limit: two atoms at each place.

x = torch.linspace(-2, 2, 24, dtype=torch.float64)[:, None]
data = jko.Data(x, 1.5 * torch.sin(1.5 * x[:, 0]))
F = jko.Risk(data, activation=lambda theta, x: torch.tanh(x.T + theta)) + 0.1 * jko.SquaredNorm()
n = 256


def middles(count):
    """Of equal cells of [0, 1]."""
    return ((torch.arange(count, dtype=torch.float64) + 0.5) / count)[:, None]


def wave(periods):
    """1 and -1 on the halves of each period."""
    theta = middles(2 * n)
    return jko.ChargedParticles(theta, 1 - 2 * ((2 * periods * theta[:, 0]).floor() % 2))


limit = YoungMeasure.of_fibres(middles(n), [1.0, -1.0])
print(limit)

# %%
# Their flows. Mass with :math:`w = 1` and with :math:`w = -1` moves apart in :math:`\theta`: what was one fibre is
# none any more, and the fibres of the measure are found by cells.

times = [0.0, 0.5, 1.0, 2.0, 3.0, 4.0]
end = jko.limits.wasserstein(F, limit, t1=4.0, times=times)
runs = {k: jko.limits.wasserstein(F, wave(k), t1=4.0, times=times) for k in (1, 2, 4, 8, 16)}
plots.fibre_snapshots(end, below, [0.0, 1.0, 4.0], cells=1 / 16)
for ax, t in zip(above, (0.0, 1.0, 4.0), strict=True):
    plots.pair(runs[4].at(t), ax).set_title(f"$p = 1/4$, $t$ = {t:g}", fontsize=10)
for ax, same in zip(above, below, strict=True):
    ax.set(xlim=same.get_xlim(), ylim=same.get_ylim(), ylabel="$w$" if ax is above[0] else "")

# %%
# The distance to the flow of the limit is :math:`p / \sqrt{12}` at the start, and of order one in :math:`p` ever after.

far = {
    k: [jko.distance(a, b).value for a, b in zip(run.states, end.states, strict=True)]
    for k, run in runs.items()
}
for colour, (k, values) in zip(plots.shades(len(far)), far.items(), strict=True):
    distances.semilogy(times, values, "o-", color=colour, ms=3, label=f"$p$ = {1 / k:.4g}")
distances.set_title("$D$ of wave and limit", fontsize=11)
distances.set(xlabel="$t$", ylabel="$D(t)$", ylim=(0.004, 0.4))
distances.legend(frameon=False, fontsize=8, ncols=3, loc="lower left")
periods = np.array([1 / k for k in far])
last = np.array([values[3] for values in far.values()])
found = np.log2(last[:-1] / last[1:])
orders.loglog(periods, [v[0] for v in far.values()], "s", color=plots.GREY, label="$t = 0$")
orders.loglog(periods, last, "o", color=plots.BLUE, label="$t = 2$")
orders.loglog(periods, periods / 12**0.5, "--", color=plots.BLACK, lw=1, label="$p / \\sqrt{12}$")
orders.set_title(f"order {found.mean():.2f} in the period", fontsize=11)
orders.set(xlabel="period $p$", ylabel="$D$")
orders.set_xticks(periods, [f"{p:.4g}" for p in periods])
orders.minorticks_off()
orders.legend(frameon=False, fontsize=8)
print("D(2):", np.round(last, 5), "orders", np.round(found, 3))
assert abs(far[4][0] - exact.squared_distance_square_waves(0.25) ** 0.5) < 1e-4
assert np.abs(found - 1).max() < 0.02

# %%
# It does not pass to means: the pair :math:`(\rho, 0)`, to which the limit projects, flows elsewhere.

means = jko.limits.wasserstein(F, limit.project(), t1=4.0, times=times)
spread = [jko.diagnostics.disintegration(mu, cells=1 / 32).expected_variance for mu in end.states]
spreads.plot(times, spread, "o-", color=plots.RED, ms=3, label="$E$ Var($w | \\theta$)")
spreads.plot(times, end.energies, "o-", color=plots.BLUE, ms=3, label="$F$ from the limit")
spreads.plot(times, means.energies, "s--", color=plots.BLUE, ms=3, label="$G$ from its projection")
spreads.set_title("the limit and its mean", fontsize=11)
spreads.set(xlabel="$t$", ylim=(0, None))
spreads.legend(frameon=False, fontsize=8)
print(f"t = 4: F = {end.energies[-1]:.5f}, from the projection {means.energies[-1]:.5f}")
assert end.energies[-1] - means.energies[-1] > 0.03

# %%
# Above a wave, below the limit, at three times.

plots.show(figure, "square_waves")
