"""Plots take Axes and give them back, with what they claim to show on them."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from matplotlib.image import imread

import jko
from jko import plots


@pytest.fixture
def ax():
    return plots.canvas()[1][0]


@pytest.fixture(scope="module")
def run():
    start = jko.Particles.normal(12, 3, generator=torch.Generator().manual_seed(1))
    return jko.flow(jko.SquaredNorm(), start, tau=0.5, steps=4)


def test_pictures_leave_the_global_state_of_pyplot_alone():
    code = "import sys, jko.plots; jko.plots.canvas(); print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900)
    assert done.stdout.strip() == "False", done.stderr


def test_the_energy_is_drawn_at_the_flow_times(run, ax):
    assert plots.energy(run, ax, lower_bound=0.01) is ax
    curve = next(line for line in ax.lines if line.get_label().startswith("energy"))
    assert np.array_equal(curve.get_xdata(), run.times[1:])
    assert np.array_equal(curve.get_ydata(), run.energies[1:])


def test_the_ledger_stacks_up_to_the_energy_at_the_start(run, ax):
    assert plots.energy_ledger(run, ax) is ax
    tops = [band.get_datalim(ax.transData).y1 for band in ax.collections]
    assert len(tops) == 3
    assert tops[-1] == pytest.approx(run.energies[0], rel=1e-12)


def test_a_ledger_of_one_step_can_be_drawn(ax):
    run = jko.flow(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=1.0, steps=1)
    plots.energy(run, ax)
    plots.energy_ledger(run, plots.canvas()[1][0])
    ax.figure.draw_without_rendering()


def test_a_trajectory_without_costs_has_no_ledger(ax):
    limit = jko.limits.wasserstein(jko.SquaredNorm(), jko.Particles([[1.0]]), t1=1.0)
    plots.energy(limit, ax)
    with pytest.raises(ValueError, match="has no column 'costs'"):
        plots.energy_ledger(limit, ax)


@pytest.mark.parametrize("colour", [0, 2, None])
def test_every_atom_of_a_pair_is_a_dot_at_its_place(ax, colour):
    pair = jko.ChargedParticles([[1.0, 5.0], [2.0, 6.0]], [3.0, -4.0], weights=[0.25, 0.75])
    plots.particles(pair, ax, plane=(1, 0), colour=colour)
    dots = ax.collections[0]
    assert dots.get_offsets().tolist() == [[1.0, 3.0], [2.0, -4.0]]
    small, big = dots.get_sizes()
    assert big == pytest.approx(3 * small)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$\\theta_{1}$", "$w$")


def test_a_coordinate_that_does_not_exist_is_refused(run, ax):
    for draw, thing in ((plots.particles, run.final), (plots.paths, run)):
        with pytest.raises(
            ValueError, match="coordinate 3 does not exist; the points have coordinates 0 to 2"
        ):
            draw(thing, ax, plane=(3, 0))


def test_paths_join_start_and_end(run, ax):
    plots.paths(run, ax, plane=(0, 2))
    assert len(ax.lines) == 12
    x, y = ax.lines[5].get_data()
    first, last = (run.states[k].points[5, [0, 2]].tolist() for k in (0, -1))
    assert [[x[0], y[0]], [x[-1], y[-1]]] == [first, last]


def test_the_area_below_a_perfect_and_a_useless_classifier(ax):
    truth = np.array([-1, -1, 1, 1])
    for output, area in (([-2, -1, 1, 2], "1.0000"), ([0.5, 0.5, 0.5, 0.5], "0.5000")):
        axes = plots.canvas()[1][0]
        plots.roc(output, truth, axes)
        assert any(area in text.get_text() for text in axes.texts)


def test_predictions_of_both_tasks_are_drawn_row_by_row(ax):
    generator = torch.Generator().manual_seed(0)
    f = {part: torch.randn(20, generator=generator).sign() for part in ("training", "test")}
    output = {
        part: values + 0.3 * torch.randn(20, generator=generator) for part, values in f.items()
    }
    plots.predicted_against_true(output, f, ax)
    assert [len(dots.get_offsets()) for dots in ax.collections] == [20, 20]
    axes = plots.canvas()[1][0]
    plots.class_outputs(output, f, ("no", "yes"), axes)
    plots.curve(
        f["test"], output["test"], plots.canvas()[1][0], {"test": (f["test"], output["test"])}
    )
    axes.figure.draw_without_rendering()
    labels = axes.get_legend_handles_labels()[1]
    assert sum(int(label.split("(")[1][:-1]) for label in labels) == 40


def test_errors_are_drawn_over_tau(ax):
    table = jko.diagnostics.Convergence(np.array([0.2, 0.1]), np.array([4e-2, 2e-2]))
    plots.convergence({"steps": table}, ax)
    assert ax.lines[0].get_ydata().tolist() == [4e-2, 2e-2]


def test_a_picture_is_written_whole(run, tmp_path):
    figure, (ax,) = plots.canvas()
    plots.energy(run, ax)
    assert plots.write(figure, tmp_path / "a.png") == tmp_path / "a.png"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert imread(tmp_path / "a.png")[..., :3].std() > 0.02
    with pytest.raises(FileNotFoundError):
        plots.write(figure, tmp_path / "nowhere" / "a.png")
