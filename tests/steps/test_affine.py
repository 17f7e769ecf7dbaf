"""Moves of states: sums in labels, potentials on grids."""

import numpy as np
import pytest
import torch

import jko
from jko.steps.affine import carried, difference, labels, marks, shifted, square

RNG = np.random.default_rng(0)
GRID = jko.Grid([(-1.0, 1.0), (0.0, 3.0)], (40, 30))


def parabola(a, b, c=0.0):
    x, y = GRID.centres.T
    return (a * x**2 / 2 + b * y**2 / 2 + c * x).reshape(GRID.shape)


def inner(values):
    """Away from the walls, where a parabola is not what no flux makes of it."""
    return values[2:-2, 2:-2] - values[20, 15]


@pytest.mark.parametrize("seed", range(3))
def test_what_has_moved_on_sees_an_earlier_gradient(seed):
    """Of parabolas exactly: ``grad D(x + grad p)`` is linear."""
    a, b, c, d = np.random.default_rng(seed).uniform(-0.3, 0.3, 4)
    rho = jko.GridDensity.from_function(GRID, lambda x: 1 + 0 * x[:, 0])
    found = carried(rho, parabola(a, b), parabola(c, d))
    assert float((inner(found) - inner(parabola(a + a * c, b + b * d))).abs().max()) < 1e-12


def test_the_square_of_a_move_on_a_grid_is_its_action():
    rho = jko.GridDensity.from_function(GRID, lambda x: (-20 * (x - 0.5).square().sum(-1)).exp())
    field = parabola(0.0, 0.0, 0.2)
    assert square(rho, field) == pytest.approx(0.04, rel=1e-3)
    there = shifted(rho, field)
    assert float(there.mean()[0] - rho.mean()[0]) == pytest.approx(-0.2, abs=2e-3)
    assert labels(rho) is None
    assert marks(rho) is rho.values


def test_the_square_of_a_move_of_edges_is_the_distance():
    mesh = jko.LineMesh(np.sort(RNG.uniform(-1, 1, 9)), np.full(8, 1 / 8))
    move = torch.from_numpy(0.05 * np.sort(RNG.uniform(0, 1, 9)))[:, None]
    there = shifted(mesh, move)
    assert square(mesh, move) == pytest.approx(jko.distance(there, mesh).squared, rel=1e-9)
    assert float((difference(there, mesh) - move).abs().max()) < 1e-15


def test_on_a_torus_labels_move_the_short_way():
    domain = jko.spaces.Torus([0.0], [1.0])
    a, b = jko.Particles([[0.9]], domain=domain), jko.Particles([[0.1]], domain=domain)
    assert float(difference(b, a)) == pytest.approx(0.2)
    assert float(shifted(a, difference(b, a)).points) == pytest.approx(0.1)
    pair = jko.ChargedParticles([[0.9]], [5.0], domain=domain)
    assert difference(shifted(pair, torch.tensor([[1.0, 0.2]]).double()), pair)[
        0
    ].tolist() == pytest.approx([1.0, 0.2])
