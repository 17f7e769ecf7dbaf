"""Saved runs of pairs (rho, H): what a file holds of each kind of state, and what it asks for."""

import numpy as np
import pytest
import torch

import jko

THETA = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64)
GRID = jko.Grid((-1.0, 1.0), 4)


def wave(theta):
    return torch.sin(3 * theta[:, 0])


def bell(theta):
    return (-(theta**2).sum(-1)).exp()


def states():
    box = jko.Box([-2.0], [2.0])
    h, x = jko.GaussianBump(0.5), [[0.0], [1.0]]
    empty = jko.ChargedDensity(GRID, [0.0, 1.0, 1.0, 0.0], [torch.nan, 1.0, 2.0, torch.inf])
    return {
        "density": jko.ChargedDensity.from_function(GRID, bell, wave),
        "density with empty cells": empty,
        "mesh": jko.ChargedMesh(THETA, THETA**2, [0.25] * 4, domain=box),
        "span of atoms": jko.ChargedSpan(
            jko.Particles(THETA[:, None], domain=box), wave, h, x, 0.5, [1.0, -1.0]
        ),
        "span of a mesh": jko.ChargedSpan(jko.LineMesh(THETA, [0.25] * 4), wave, h, x),
        "span of a density": jko.ChargedSpan(
            jko.GridDensity.from_function(GRID, bell), wave, h, x, 2.0, [0.0, 3.0]
        ),
    }


def trajectory(state):
    return jko.Trajectory(np.zeros(1), np.zeros(1), (state,), np.zeros(1, dtype=int))


@pytest.mark.parametrize("name", states())
def test_a_saved_pair_comes_back_bit_by_bit(name, tmp_path):
    state = states()[name]
    path = trajectory(state).save(tmp_path / "run")
    back = jko.Trajectory.load(path, like=state).final
    assert type(back) is type(state)
    assert torch.equal(back.atoms.points, state.atoms.points)
    assert torch.equal(back.atoms.weights, state.atoms.weights)
    assert repr(back.domain) == repr(state.domain)


def test_empty_cells_keep_their_missing_charges(tmp_path):
    state = states()["density with empty cells"]
    back = jko.Trajectory.load(trajectory(state).save(tmp_path / "run")).final
    assert torch.equal(torch.isfinite(back.H), torch.isfinite(state.H))


def test_functions_are_not_saved_and_the_file_asks_for_them(tmp_path):
    path = trajectory(states()["span of atoms"]).save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"H is made of functions.*pass like=start"):
        jko.Trajectory.load(path)


def test_a_run_in_the_split_metric_cannot_be_read_between_its_states():
    span = states()["span of atoms"]
    run = jko.Trajectory(np.arange(2.0), np.zeros(2), (span, span), np.arange(2))
    with pytest.raises(ValueError, match=r"t = 0.5 is not a kept time"):
        run.at(0.5)
