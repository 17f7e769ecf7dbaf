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


def test_states_that_cannot_be_compared_by_label_are_refused():
    one, two = jko.Particles([[0.0]]), jko.Particles([[0.0], [1.0]])
    with pytest.raises(ValueError, match=r"jko\.distance"):
        jko.convergence(lambda tau: one, two, parameters=[0.1])
    with pytest.raises(ValueError, match=r"jko\.distance"):
        jko.convergence(
            lambda tau: jko.Particles([[0.0], [1.0]], [0.3, 0.7]), two, parameters=[0.1]
        )
    with pytest.raises(TypeError, match="norm="):
        jko.convergence(lambda tau: torch.zeros(1), one, parameters=[0.1])


def test_the_norm_between_densities_is_the_integral_of_their_difference():
    """Of 1 and 1 + x/2 on [-2, 2]^2 cut into cells: int |x/2|, whatever the number of cells and their size."""
    for cells in ((4, 4), (16, 8)):
        grid = jko.Grid(((-2.0, 2.0), (0.0, 0.5)), cells)
        x = grid.centres[:, 0].reshape(grid.shape)
        a, b = (jko.GridDensity(grid, 0.5 * (1 + s * x / 4)) for s in (0.0, 1.0))
        assert natural_norm(a, b) == pytest.approx(
            0.25, rel=1e-12
        )  # int |x| / 8 over an area of 4 x 1/2
