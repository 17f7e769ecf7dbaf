"""Pictures of networks with two hidden layers: how fast they come to the flow of infinitely many neurons."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter

from jko.diagnostics import LayerStudy
from jko.plots.style import BLACK, BLUE, GREY, legend_below


def layer_study(study: LayerStudy, ax: Axes, colour: str = BLUE) -> Axes:
    """The error of each network of a study, their root mean squares, and the line of their order.

    Examples
    --------
    >>> import jko
    >>> F = jko.energies.TwoLayerRisk(jko.Data([[0.5], [1.0]], [1.0, 1.0]))
    >>> law = jko.measures.LayerKernels(
    ...     lambda u: u, lambda u, v: (u - v)[..., 0], lambda v: v[:, 0]
    ... )
    >>> study = jko.diagnostics.layer_study(F, law, t1=0.5, N2=(4, 16), repeats=2, nodes=6)
    >>> figure, (ax,) = jko.plots.canvas()
    >>> jko.plots.layer_study(study, ax) is ax
    True
    """
    N = study.N2 if study.varies == "N2" else study.N1
    order, low, high = study.order
    each = np.broadcast_to(N[:, None], study.errors.shape)
    ax.loglog(each, study.errors, color=GREY, ls="", marker=".", ms=4, alpha=0.7)
    ax.loglog(N, study.means, color=colour, ls="", marker="o", label="root mean square")
    middle = np.exp(np.log(N).mean()), np.exp(np.log(study.means).mean())
    name = f"order {order:.2f}, 95 %: {low:.2f} to {high:.2f}"
    ax.loglog(N, middle[1] * (N / middle[0]) ** -order, color=BLACK, lw=1, label=name)
    ax.set(xlabel=f"${study.varies[0]}_{study.varies[1]}$", ylabel="$\\sup_t |f_N - f|$")
    ax.set_xticks(N, [str(n) for n in N])
    ax.xaxis.minorticks_off()
    ax.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    legend_below(ax, columns=2)
    return ax
