"""Pictures of how flows come to rest, and of how N atoms come to their limit."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from jko.diagnostics import ChaosStudy, DissipationRatio, Lojasiewicz
from jko.plots.style import BLACK, BLUE, COLOURS, GREEN, GREY, ORANGE, RED, legend_below
from jko.plots.ticks import calm, named


def dissipation_ratio(found: DissipationRatio, ax: Axes) -> Axes:
    """``I / (F - F_*)`` of all that was evaluated against ``F - F_*``, the least below each level, and the bounds.

    Examples
    --------
    >>> import jko
    >>> found = jko.diagnostics.dissipation_ratio(
    ...     jko.SquaredNorm(), jko.Particles([[0.0], [0.0]]), level=1.0
    ... )
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.dissipation_ratio(found, ax) is ax
    True
    """
    gaps, ratios = found.trail.T
    ax.plot(gaps, ratios, ls="", marker=".", ms=3, color=GREY, alpha=0.5, label="evaluated")
    ax.plot(
        *found.profile, color=BLUE, lw=1.8, drawstyle="steps-post", label="least below the level"
    )
    if found.gap > 0:
        ax.plot([found.gap], [found.value], ls="", marker="o", color=RED, label="least of all")
    if found.at_rest > 0:
        ax.axhline(found.at_rest, color=ORANGE, lw=1.4, ls="--", label="at rest, 2 gap")
    if found.lower.value > 0:
        ax.axhline(found.lower.value, color=GREEN, lw=1.4, ls=":", label="proved")
    low = min(v for v in (found.value, found.lower.value, found.at_rest) if v > 0)
    high = float(np.quantile(ratios, 0.95))
    ax.set(xscale="log", yscale="log", xlabel="$F - F_*$", ylabel="$I\\, /\\, (F - F_*)$")
    ax.set_ylim(0.8 * low, 1.5 * max(high, found.value))
    calm(ax)
    legend_below(ax, columns=2)
    return ax


def lojasiewicz(found: Lojasiewicz, ax: Axes) -> Axes:
    """The root of I against ``F - F_*``, both logarithmic, with the line of slope theta and those of its interval.

    Examples
    --------
    >>> import jko, numpy as np
    >>> gaps = np.geomspace(1, 1e-6, 30)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.lojasiewicz(jko.diagnostics.Lojasiewicz.of(gaps, 16 * gaps**1.5), ax) is ax
    True
    """
    x, y = found.gaps, found.dissipations**0.5
    middle = np.exp(np.log(x).mean()), np.exp(np.log(y).mean())
    ends = np.array([x.min(), x.max()])
    low, high = (middle[1] * (ends / middle[0]) ** theta for theta in found.interval)
    ax.fill_between(
        ends, np.minimum(low, high), np.maximum(low, high), color=ORANGE, alpha=0.25, lw=0
    )
    line = middle[1] * (ends / middle[0]) ** found.exponent
    ax.plot(ends, line, color=ORANGE, lw=1.5, label=f"slope {found.exponent:.3f}")
    ax.plot(x, y, ls="", marker="o", ms=3.5, color=BLUE, label="the flow")
    ax.set(xscale="log", yscale="log", xlabel="$F - F_*$", ylabel="$|\\nabla F| = I^{1/2}$")
    calm(ax)
    legend_below(ax, columns=2)
    return ax


def chaos(study: ChaosStudy, ax: Axes) -> Axes:
    """Errors against N on logarithmic axes, each repeat a dot, with the fitted orders.

    Examples
    --------
    >>> import jko
    >>> law = lambda N, generator: jko.Particles.normal(N, 1, generator=generator)
    >>> F = jko.Interaction(lambda z: 0.5 * z[:, 0] ** 2)
    >>> study = jko.diagnostics.chaos_study(
    ...     F, law, sizes=[5, 20], times=[0.0, 1.0], repeats=8, observe=lambda mu: mu.mean()
    ... )
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.chaos(study, ax) is ax
    True
    """
    kinds = [
        ("$\\sup_t |f_N - f|$", study.outputs, study.order),
        ("paths", study.paths, study.path_order),
    ]
    if study.distances is not None and study.distance_order is not None:
        kinds.append(("$W_2$", study.distances, study.distance_order))
    N = study.sizes.astype(float)
    for (name, errors, order), colour in zip(kinds, COLOURS, strict=False):
        worst = errors.max(axis=2)
        shift = 1.0 + 0.04 * np.linspace(-1, 1, len(worst))[:, None]
        ax.plot(
            (shift * N).ravel(), worst.ravel(), ls="", marker=".", ms=2.5, color=colour, alpha=0.35
        )
        rms = (worst**2).mean(axis=0) ** 0.5
        text = f"{name}: order {order.value:.2f} in [{order.low:.2f}, {order.high:.2f}]"
        ax.plot(N, rms, color=colour, marker="o", ms=4, lw=1.6, label=text)
    first = float(study.errors[0])
    ax.plot(N, 0.7 * first * (N / N[0]) ** -0.5, color=BLACK, lw=1, ls=":", label="$N^{-1/2}$")
    ax.set(xscale="log", yscale="log", xlabel="atoms $N$", ylabel="error")
    calm(ax)
    named(ax, study.sizes.tolist())
    legend_below(ax)
    return ax


def chaos_in_time(study: ChaosStudy, ax: Axes) -> Axes:
    """Root mean square errors of the outputs against time, a curve for each N.

    Examples
    --------
    >>> import jko
    >>> law = lambda N, generator: jko.Particles.normal(N, 1, generator=generator)
    >>> F = jko.Interaction(lambda z: 0.5 * z[:, 0] ** 2)
    >>> study = jko.diagnostics.chaos_study(
    ...     F, law, sizes=[5, 20], times=[0.0, 1.0], repeats=8, observe=lambda mu: mu.mean()
    ... )
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.chaos_in_time(study, ax) is ax
    True
    """
    for n, errors, colour in zip(
        study.sizes, study.by_time, COLOURS * len(study.sizes), strict=False
    ):
        ax.plot(study.times, errors, color=colour, lw=1.6, label=f"$N = {n}$")
    ax.set(yscale="log", xlabel="flow time $t$", ylabel="$|f_N(t) - f(t)|$, r.m.s.")
    calm(ax)
    legend_below(ax, columns=2)
    return ax
