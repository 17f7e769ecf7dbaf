"""Pictures of Young measures show atoms, the mean of each fibre and how wide it is."""

import numpy as np
import pytest

import jko
from jko import plots
from jko.measures import YoungMeasure

MU = YoungMeasure.of_fibres([[0.0], [0.5], [1.0]], [[1.0, -1.0], [2.0, 0.0], [0.0, 0.0]])


def test_dots_are_atoms_and_the_curve_is_H():
    ax = plots.fibres(MU, plots.canvas()[1][0])
    dots = ax.collections[0].get_offsets()
    assert np.allclose(dots, MU.points.flip(1))
    (curve,) = ax.lines
    assert np.allclose(curve.get_xydata(), [[0.0, 0.0], [0.5, 1.0], [1.0, 0.0]])
    band = ax.collections[1].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (-1.0, 2.0)


def test_a_density_is_drawn_by_its_columns():
    grid = jko.Grid(((-1.0, 1.0), (0.0, 1.0)), (4, 3))
    mu = jko.GridDensity.from_function(grid, lambda xi: 1 + xi[:, 0] * xi[:, 1])
    ax = plots.fibres(mu, plots.canvas()[1][0])
    assert len(ax.lines[0].get_xdata()) == 3
    with pytest.raises(ValueError, match="theta on the line"):
        plots.fibres(jko.Particles([[0.0, 0.0, 0.0]]), ax)


def test_a_flow_is_drawn_on_one_scale():
    run = jko.flow(jko.SquaredNorm(), MU, tau=0.5, steps=2)
    axes = plots.fibre_snapshots(run, plots.canvas(1, 2)[1], [0.0, 1.0], cells=0.2)
    assert axes[0].get_ylim() == axes[1].get_ylim()
    assert axes[1].get_title() == "$t$ = 1"
