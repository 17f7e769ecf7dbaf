"""Ellipses have the axes of the covariance, curves the density, and ways end where the flow does."""

import numpy as np
import pytest
import torch
from matplotlib.patches import Ellipse

import jko
from jko import plots

LAW = jko.Gaussian([1.0, -2.0, 0.0], [[4.0, 0.0, 0.3], [0.0, 1.0, 0.0], [0.3, 0.0, 9.0]])


def shapes(ax):
    return [patch for patch in ax.patches if isinstance(patch, Ellipse)]


@pytest.mark.parametrize(("plane", "sizes"), [((0, 1), (2.0, 1.0)), ((1, 2), (1.0, 3.0))])
def test_ellipses_are_of_one_and_two_deviations(plane, sizes):
    ax = plots.ellipses(LAW, plots.canvas()[1][0], plane)
    one, two = shapes(ax)
    assert np.allclose(one.center, LAW.m[list(plane)])
    for k, patch in ((1, one), (2, two)):
        assert np.allclose(sorted((patch.width, patch.height)), sorted(2 * k * s for s in sizes))
    ends = one.get_patch_transform().transform([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    S = LAW.S[list(plane)][:, list(plane)].numpy()
    away = ends - np.array(one.center)
    assert np.allclose(np.einsum("ni,ij,nj->n", away, np.linalg.inv(S), away), 1)


def test_on_the_line_the_density_is_drawn():
    mix = jko.GaussianMixture([[-1.0], [2.0]], [[[0.1]], [[0.5]]], [0.3, 0.7])
    ax = plots.ellipses(mix, plots.canvas()[1][0], label="two")
    x, y = ax.lines[0].get_data()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=1e-3)
    assert np.allclose(y, mix.log_density(torch.tensor(x)[:, None]).exp())


def test_ways_go_from_the_first_state_to_the_last():
    start = jko.GaussianMixture([[2.0, 1.0], [-1.0, 0.0]], [np.eye(2)] * 2, nodes=64)
    run = jko.flow(jko.SquaredNorm() + jko.Entropy(), start, tau=0.2, steps=5)
    ax = plots.ellipse_ways(run, plots.canvas()[1][0], between=2)
    assert len(shapes(ax)) == 4 + 2 * 2 + 4
    ways = [line.get_xydata() for line in ax.lines if len(line.get_xydata()) == 6]
    assert np.allclose([way[-1] for way in ways], run.final.means)


def test_what_is_no_plane_is_refused():
    ax = plots.canvas()[1][0]
    with pytest.raises(ValueError, match="3 coordinates"):
        plots.ellipses(LAW, ax, (0, 3))
    with pytest.raises(TypeError, match="Gaussian"):
        plots.ellipses(jko.Particles([[0.0, 1.0]]), ax)
