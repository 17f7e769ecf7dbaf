"""Pictures of what comes round: limits at the seam, dashed ends, ways on both sides of it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection

import jko


@pytest.fixture
def axes():
    figure, axes = jko.plots.canvas(1, 2)
    yield axes
    plt.close(figure)


def dashed(ax):
    return {
        name for name, spine in ax.spines.items() if spine.get_linestyle() not in ("-", "solid")
    }


def test_a_density_ends_dashed_where_it_comes_round(axes):
    grid = jko.Grid((0.0, 2.0), (6, 5), periodic=(True, False))
    rho = jko.GridDensity.from_function(grid, lambda x: 1 + x[:, 0])
    jko.plots.density(rho, axes[0])
    jko.plots.density(rho, axes[1], plane=(1, 0))
    assert dashed(axes[0]) == {"left", "right"}
    assert dashed(axes[1]) == {"bottom", "top"}
    assert axes[0].get_xlim() == (0.0, 2.0)


def test_a_profile_has_no_walls_where_it_comes_round(axes):
    for ax, periodic in zip(axes, (True, False), strict=True):
        rho = jko.GridDensity.from_function(jko.Grid((0, 1), 5, periodic), lambda x: 1 + x[:, 0])
        jko.plots.density(rho, ax)
        assert (dashed(ax) == {"left", "right"}) is periodic


def test_ways_across_a_seam_are_drawn_on_both_sides(axes):
    torus = jko.spaces.Torus([0.0, 0.0], [1.0, 1.0])
    V = jko.Potential(lambda x: torch.sin(2 * np.pi * x[:, 0]))  # down to 3/4
    for ax, start in zip(axes, ([[0.1, 0.4]], [[0.6, 0.4]]), strict=True):
        run = jko.flow(V, jko.Particles(start, domain=torus), tau=0.1, steps=1)
        jko.plots.paths(run, ax)
        (lines,) = (c for c in ax.collections if isinstance(c, LineCollection))
        assert len(lines.get_segments()) == (2 if start[0][0] < 0.25 else 1)
        assert ax.get_xlim() == (0.0, 1.0)
