"""As tau -> 0 the JKO flow converges to the gradient flow at first order, for F in W2 and for G in D.

The flow is that of ``jko.limits`` (which has its own witness, by hand, in test_limits.py).  Orders are pairwise: with
error e(tau) = c tau (1 + b tau + ...) the order between tau and tau/2 is 1 + b tau / (2 log 2) + ..., so it is within
.05 of one as soon as |b| tau < .07.
"""

from functools import cache

import numpy as np
import pytest
import torch
from problems import linear_any, points, quadratic, tanh_energy, tanh_network

import jko
from jko.diagnostics.convergence import natural_norm

T1, TAUS, TOL = 0.5, (1 / 20, 1 / 40, 1 / 80, 1 / 160), 1e-10


@cache
def network():
    x, f, lam, xi = tanh_network()
    return tanh_energy(x, f, lam), {
        "W2": jko.Particles(xi),
        "D": jko.ChargedParticles(xi[:, 1:], xi[:, 0]),
    }


def steps(energy, start):
    return lambda tau: jko.flow(energy, start, tau=tau, t1=T1, solver=jko.LBFGS(tol=TOL))


@pytest.mark.parametrize("kind", ["W2", "D"])
def test_steps_converge_to_the_flow_at_first_order(kind):
    F, starts = network()
    table = jko.convergence(
        steps(F, starts[kind]), jko.limits.wasserstein(F, starts[kind], t1=T1), parameters=TAUS
    )
    assert np.abs(table.orders - 1).max() < 0.05, f"\n{table}"
    assert table.errors[-1] < 1e-2


@pytest.mark.parametrize("problem", [*quadratic(), *linear_any()], ids=str)
def test_steps_converge_to_the_closed_form_at_first_order(problem):
    exact = jko.Particles(problem.limit(T1), problem.start.weights)
    table = jko.convergence(steps(problem.energy, problem.start), exact, parameters=TAUS)
    assert np.abs(table.orders - 1).max() < 0.05, f"\n{table}"


def test_the_flow_of_a_pair_is_the_flow_of_its_lift():
    F, starts = network()
    mu, pair = (
        jko.flow(F, starts[kind], tau=0.05, t1=T1, solver=jko.LBFGS(tol=TOL))
        for kind in ("W2", "D")
    )
    # each step is solved to TOL in a norm whose curvature is at least 1/tau - |Hess| > 1, and errors do not double
    tolerance = 2 * len(mu.costs) * TOL
    assert np.abs(points(mu.final) - points(pair.final)).max() < tolerance
    assert np.abs(mu.energies - pair.energies).max() < tolerance
    assert np.abs(mu.costs - pair.costs).max() < tolerance


def test_half_of_the_energy_lost_is_paid_for_the_way_as_tau_falls():
    # sum D^2 / (2 tau) -> (F_0 - F_T) / 2, the energy identity of the limit, at first order
    F, starts = network()
    ratios = []
    for tau in TAUS[:3]:
        run = steps(F, starts["D"])(tau)
        ratios.append(run.costs.sum() / (2 * tau) / (run.energies[0] - run.energies[-1]))
    errors = np.abs(np.array(ratios) - 0.5)
    assert errors[-1] < 0.02
    assert np.abs(np.log2(errors[:-1] / errors[1:]) - 1).max() < 0.1


# The table itself


def test_orders_of_a_known_law_are_its_exponent():
    table = jko.diagnostics.Convergence(
        np.array([0.4, 0.2, 0.05]), 3 * np.array([0.4, 0.2, 0.05]) ** 2
    )
    assert table.orders == pytest.approx([2.0, 2.0], abs=1e-14)
    assert str(table).splitlines()[0].split() == ["tau", "error", "order"]
    assert str(table).splitlines()[2].split() == ["0.2", "1.2000e-01", "2.000"]


def test_an_error_of_zero_has_no_order():
    table = jko.diagnostics.Convergence(np.array([0.2, 0.1]), np.array([0.0, 0.0]))
    assert np.isnan(table.orders).all()


def test_the_default_norm_weighs_atoms_by_their_mass():
    a, b = jko.Particles([[0.0], [0.0]], [0.25, 0.75]), jko.Particles([[2.0], [0.0]], [0.25, 0.75])
    assert jko.convergence(lambda tau: a, b, parameters=[1.0]).errors.tolist() == [1.0]
    assert jko.convergence(
        lambda tau: a, b, parameters=[1.0], norm=lambda s, e: 7.0
    ).errors.tolist() == [7.0]


@pytest.mark.parametrize("taus", [[], [0.1, 0.1], [0.1, -0.1]])
def test_bad_time_steps_are_refused(taus):
    with pytest.raises(ValueError, match="parameters"):
        jko.convergence(lambda tau: jko.Particles([[0.0]]), jko.Particles([[0.0]]), parameters=taus)


def test_what_is_no_state_is_refused():
    with pytest.raises(TypeError, match="norm="):
        jko.convergence(lambda tau: torch.zeros(1), jko.Particles([[0.0]]), parameters=[0.1])


def test_states_without_common_labels_are_as_far_as_their_distance():
    one, two = jko.Particles([[0.0]]), jko.Particles([[0.0], [1.0]])
    assert natural_norm(one, two) == pytest.approx(0.5**0.5, rel=1e-12)
    heavy = jko.Particles([[0.0], [1.0]], [0.3, 0.7])
    assert natural_norm(heavy, two) == pytest.approx(0.2**0.5, rel=1e-12)


def test_the_default_norm_compares_kinds():
    """Uniform on [0, 1] against uniform on [1, 2], or against its middle: by any two kinds."""
    grids = [jko.Grid((0.0, 2.0), n) for n in (20, 40)]
    left, right = (
        jko.GridDensity.from_function(grid, lambda x, s=s: ((x[:, 0] - 1) * s < 0).double())
        for grid, s in zip(grids, (1, -1), strict=True)
    )
    mesh = jko.LineMesh.from_density(right)
    assert natural_norm(left, mesh) == pytest.approx(1.0, rel=1e-12)
    assert natural_norm(mesh, left) == pytest.approx(1.0, rel=1e-12)
    assert natural_norm(left, right) == pytest.approx(1.0, abs=1e-3)
    middle = jko.Particles([[0.5]])
    assert natural_norm(left, middle) == pytest.approx((1 / 12 - 0.1**2 / 12) ** 0.5, rel=1e-12)
    pair = jko.ChargedDensity(grids[0], left.values, torch.full((20,), 3.0).double())
    atoms = jko.ChargedParticles([[0.5]], [0.0])
    assert natural_norm(pair, atoms) == pytest.approx((9 + 0.33 / 4) ** 0.5, rel=1e-3)
    with pytest.raises(TypeError):
        natural_norm(pair, left)


def test_the_norm_between_densities_is_the_integral_of_their_difference():
    """Of 1 and 1 + x/2 on [-2, 2]^2 cut into cells: int |x/2|, whatever the number of cells and their size."""
    for cells in ((4, 4), (16, 8)):
        grid = jko.Grid(((-2.0, 2.0), (0.0, 0.5)), cells)
        x = grid.centres[:, 0].reshape(grid.shape)
        a, b = (jko.GridDensity(grid, 0.5 * (1 + s * x / 4)) for s in (0.0, 1.0))
        assert natural_norm(a, b) == pytest.approx(
            0.25, rel=1e-12
        )  # int |x| / 8 over an area of 4 x 1/2


# Floors, and what is written


def law(order, floor=0.0, count=5):
    h = 0.1 * 0.5 ** np.arange(count)
    return jko.diagnostics.Convergence(h, 3 * h**order + floor)


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0, 4.0])
def test_one_slope_is_the_exponent_and_a_pure_law_has_no_floor(order):
    table = law(order)
    assert table.order == pytest.approx(order, abs=1e-12)
    assert table.floor is None
    assert table.remarks == []
    assert "floor" not in repr(table)


@pytest.mark.parametrize("order", [1.0, 2.0])
@pytest.mark.parametrize("place", [2, 3])
def test_errors_that_rest_on_something_else_are_flagged_from_there_on(order, place):
    """A floor as high as the error of that parameter: it shows from the next one on."""
    floor = 3 * (0.1 * 0.5**place) ** order
    table = law(order, floor, 7)
    assert table.floor in (place, place + 1)
    assert len(table.remarks) == 1
    assert "floor" in table.remarks[0]
    assert "floor" in str(table)
    assert "floor" in repr(table)


def test_the_orders_that_were_met_are_flagged():
    orders = np.array([1.17, 0.55, 0.18])
    h = 0.1 * 0.5 ** np.arange(4)
    errors = np.exp(np.concatenate([[0.0], np.cumsum(-np.log(2) * orders)]))
    table = jko.diagnostics.Convergence(h, errors)
    assert table.orders == pytest.approx(orders)
    assert table.floor == 1


def test_inexact_steps_are_said_to_blur_orders():
    start, E = jko.Particles([[1.0], [-0.3]]), jko.Potential(lambda x: 0.5 * (x**2 + x**4).sum(-1))
    exact = jko.limits.wasserstein(E, start, t1=0.5)
    loose, sharp = (
        jko.convergence(
            lambda tau, s=s: jko.flow(E, start, tau=tau, t1=0.5, solver=s),
            exact,
            parameters=[0.1, 0.05],
        )
        for s in (jko.LBFGS(), jko.LBFGS(tol=1e-10))
    )
    assert sharp.inexact < 1e-8
    assert sharp.remarks == []
    assert loose.inexact > 0.01
    assert "jko.LBFGS(tol=1e-10)" in str(loose)


def test_a_table_is_written_with_all_its_digits(tmp_path):
    import csv

    table = law(1.0, count=3)
    path = tmp_path / "orders.csv"
    assert table.to_csv(path) == path.read_text() == table.to_csv()
    head, *rows = csv.reader(path.read_text().splitlines())
    assert head == ["tau", "error", "order"]
    assert [float(row[1]) for row in rows] == table.errors.tolist()
    assert rows[0][2] == ""
    assert float(rows[1][2]) == table.orders[0]


def test_a_table_of_latex_is_whole_and_escaped():
    odd = jko.diagnostics.Convergence(np.array([0.5, 1e-5]), np.array([1e-3, 0.0]), "cells_50%")
    text = odd.to_latex()
    assert text.startswith(r"\begin{tabular}{rrr}")
    assert text.rstrip().endswith(r"\end{tabular}")
    assert r"cells\_50\% & error & order \\" in text
    assert r"$1 \cdot 10^{-5}$ & $0.000 \cdot 10^{0}$ &  \\" in text
    assert r"$\tau$ & error" in law(1.0).to_latex()
    assert text.count("&") == 6
