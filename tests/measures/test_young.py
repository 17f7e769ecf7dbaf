"""Young measures: fibres and their moments, distances to pairs, steps and flows against closed forms."""

import numpy as np
import pytest
import torch

import jko
from jko import exact
from jko.measures import YoungMeasure
from jko.spaces import Torus, cylinder
from jko.testing import check_state

S2, TARGET = 1.0, 0.6
LINEAR = jko.Risk(jko.Data([[1.0]], [TARGET], [1.0]), activation=lambda theta, x: theta @ x.T)


def draw(n=4, k=3, d=2, seed=0):
    """Fibres of unequal masses at random places."""
    g = torch.Generator().manual_seed(seed)
    theta, w = (torch.randn(n, m, generator=g, dtype=torch.float64) for m in (d, k))
    masses, rho = (torch.rand(n, m, generator=g, dtype=torch.float64) + 0.1 for m in (k, 1))
    return theta, w, masses / masses.sum(1, keepdim=True), rho[:, 0] / rho.sum()


def limit_of_waves(n):
    """U[0, 1] x (delta_1 + delta_{-1}) / 2, theta at the middles of n cells."""
    theta = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n
    return YoungMeasure.of_fibres(theta, [1.0, -1.0])


def wave(periods, N):
    theta = (torch.arange(N, dtype=torch.float64) + 0.5) / N
    return jko.ChargedParticles(theta[:, None], 1 - 2 * ((2 * periods * theta).floor() % 2))


@pytest.mark.parametrize(("n", "k", "d"), [(4, 3, 2), (1, 5, 1), (6, 1, 3)])
def test_fibres_have_the_moments_of_their_laws(n, k, d):
    theta, w, masses, rho = draw(n, k, d)
    mu = YoungMeasure.of_fibres(theta, w, masses, rho)
    check_state(mu)
    assert (mu.fibres, mu.d, mu.dim, mu.N) == (n, d, d + 1, n * k)
    moments = torch.stack([(masses * w**i).sum(1) for i in range(1, 5)])
    assert torch.allclose(mu.moments(4), moments, rtol=1e-12)
    assert torch.allclose(mu.H, moments[0], atol=1e-14)
    assert torch.allclose(mu.variance, moments[1] - moments[0] ** 2, atol=1e-13)
    assert torch.allclose(mu.theta, theta, atol=0)
    assert torch.allclose(mu.masses, rho)
    assert mu.parted == 0
    assert mu.expected_variance == pytest.approx(jko.metrics.projection_loss(mu), abs=1e-14)
    projected, means = mu.project(), mu.means()
    assert torch.allclose(projected.H, means.H)
    assert torch.equal(projected.theta, means.theta)


def test_the_order_of_atoms_and_names_of_labels_do_not_matter():
    mu = YoungMeasure.of_fibres(*draw())
    order = torch.randperm(mu.N, generator=torch.Generator().manual_seed(3))
    again = YoungMeasure(mu.points[order], 10 - 3 * mu.label[order], mu.weights[order])
    by_place = YoungMeasure(mu.points[order], weights=mu.weights[order])
    assert torch.equal(again.label, by_place.label)
    where = again.theta[:, :1].argsort(0)[:, 0]
    ours = mu.theta[:, :1].argsort(0)[:, 0]
    assert torch.allclose(again.variance[where], mu.variance[ours])
    assert jko.distance(mu, again).value < 1e-7


def test_fibres_at_one_place_are_one():
    mu = YoungMeasure.of_fibres(
        [[0.0], [1.0], [0.0]], [[1.0], [5.0], [3.0]], weights=[0.5, 0.25, 0.25]
    )
    assert mu.label.tolist() == [0, 1, 0]
    assert mu.masses.tolist() == [0.75, 0.25]
    assert float(mu.H[0]) == pytest.approx(5 / 3)


def test_graphs_have_no_variance_and_equal_values_leave_no_rounding():
    pair = jko.ChargedParticles([[0.1], [0.2], [0.7]], [0.1, 1e8 + 0.1, -3.3], [0.3, 0.3, 0.4])
    mu = YoungMeasure.of_state(pair)
    assert mu.expected_variance == 0
    assert torch.equal(mu.H, pair.H)
    doubled = YoungMeasure.of_fibres(
        pair.theta, pair.H[:, None].expand(-1, 3), weights=pair.weights
    )
    assert doubled.expected_variance == 0
    assert doubled.parted == 0


def test_fibres_on_a_circle_meet_across_the_seam():
    circle = cylinder(Torus([0.0], [1.0]))
    mu = YoungMeasure([[1.0, 0.95], [3.0, 0.05]], [0, 0], domain=circle)
    assert float(mu.theta) == pytest.approx(0.0, abs=1e-15) or float(mu.theta) == pytest.approx(1.0)
    assert mu.parted == pytest.approx(0.0025)
    assert mu.H.tolist() == [2.0]


@pytest.mark.parametrize("kind", [jko.ChargedParticles, jko.ChargedDensity])
def test_the_distance_to_a_pair_is_that_to_its_lift(kind):
    pair = wave(2, 16)
    if kind is jko.ChargedDensity:
        values = torch.where(torch.arange(16) < 8, 2.0, 0.0).double()  # half of the cells are empty
        pair = jko.ChargedDensity(jko.Grid((0.0, 1.0), 16), values, pair.H)
    mu = YoungMeasure.of_fibres(*draw(d=1))
    found = jko.distance(mu, pair)
    assert found.exact
    assert found.value == pytest.approx(
        jko.distance(mu.to_particles(), pair.lift()).value, rel=1e-12
    )
    assert jko.distance(pair, mu).value == pytest.approx(found.value, rel=1e-12)
    assert jko.distance(mu, mu.project()).value <= mu.expected_variance**0.5
    with pytest.raises(TypeError, match="no distance between two kinds"):
        jko.distance(mu.to_particles(), jko.GridDensity(jko.Grid((0.0, 1.0), 2), [1.0, 1.0]))


@pytest.mark.parametrize("periods", [1, 2, 4])
def test_square_waves_are_a_period_over_root_twelve_from_their_limit(periods):
    """Atoms at middles: the discrete squares are exact up to the square of the spacing."""
    found = [jko.distance(wave(periods, 2 * n), limit_of_waves(n)).squared for n in (32, 64)]
    extrapolated = (4 * found[1] - found[0]) / 3
    assert extrapolated == pytest.approx(exact.squared_distance_square_waves(1 / periods), rel=1e-9)


def test_the_flow_in_the_completion_is_the_closed_form():
    """Of linear features the flow is one linear map of the atoms (w, theta), of waves and of their limit."""
    mu = limit_of_waves(8)
    run = jko.limits.wasserstein(LINEAR, mu, t1=2.0, rtol=1e-11)
    P = torch.from_numpy(
        exact.linear_flow(
            mu.integrate(mu.points[:, :, None] * mu.points[:, None]).numpy(),
            s2=S2,
            target=TARGET,
            t=2.0,
        )
    )
    assert (run.final.points - mu.points @ P).abs().max() < 1e-8
    assert isinstance(run.final, YoungMeasure)
    assert torch.equal(run.final.label, mu.label)
    assert run.final.parted > 0.01  # w moves theta
    assert run.final.project().lift().N == mu.N  # and so all are graphs


@pytest.mark.parametrize(
    ("scheme", "order"), [(jko.Implicit(), 1), (jko.SDIRK2(), 2)], ids=["implicit", "sdirk2"]
)
def test_steps_in_the_completion_tend_to_its_flow(scheme, order):
    mu = limit_of_waves(8)
    Z = mu.integrate(mu.points[:, :, None] * mu.points[:, None]).numpy()
    P = torch.from_numpy(exact.linear_flow(Z, s2=S2, target=TARGET, t=1.0))
    solver = jko.LBFGS(tol=1e-11)
    table = jko.convergence(
        lambda tau: jko.flow(LINEAR, mu, tau=tau, t1=1.0, scheme=scheme, solver=solver).final,
        mu.placed(mu.points @ P),
        parameters=[0.1, 0.05],
    )
    assert table.orders[-1] == pytest.approx(order, abs=0.1)


def test_a_step_in_the_completion_is_the_closed_one_and_proves_its_plan():
    mu = limit_of_waves(8)
    Z = mu.integrate(mu.points[:, :, None] * mu.points[:, None]).numpy()
    P = torch.from_numpy(exact.linear_step_map(Z, s2=S2, target=TARGET, tau=0.3))
    found = jko.step(LINEAR, mu, tau=0.3, solver=jko.LBFGS(tol=1e-12))
    assert (found.state.points - mu.points @ P).abs().max() < 1e-9
    assert found.status.ok
    assert found.slack >= 0


@pytest.mark.parametrize("solver", [jko.Plans(), jko.FrankWolfe()], ids=["plans", "frankwolfe"])
def test_atoms_that_split_stay_in_their_fibre(solver):
    """Features w^2 and w, target (1, 0), from w = 0: half of it goes to either side."""
    square = jko.Risk(
        jko.Data([[0.0], [1.0]], [1.0, 0.0], [1.0, 1.0]),
        features=lambda xi, x: xi[:, :1] ** 2 * (1 - x.T) + xi[:, :1] * x.T,
    )
    mu = YoungMeasure.of_fibres([[0.0]], [0.0])
    found = jko.step(square, mu, tau=2.0, solver=solver)
    assert found.objective == pytest.approx(7 / 32, abs=1e-8)
    assert isinstance(found.state, YoungMeasure)
    assert found.state.fibres == 1
    assert found.state.N >= 2
    assert found.state.expected_variance == pytest.approx(0.75, abs=1e-4)


def test_masses_of_fibres_are_differentiable():
    w = torch.tensor([[1.0, -1.0], [2.0, 0.0]], dtype=torch.float64, requires_grad=True)
    mu = YoungMeasure.of_fibres([[0.0], [1.0]], w)
    (mu.masses @ mu.variance).backward()
    assert torch.allclose(w.grad, torch.tensor([[0.5, -0.5], [0.5, -0.5]]).double())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: YoungMeasure([[1.0], [2.0]]), "at least two"),
        (lambda: YoungMeasure([[1.0, 0.0]], [0.5]), "not whole numbers"),
        (lambda: YoungMeasure([[1.0, 0.0]], [float("nan")]), "not whole numbers"),
        (lambda: YoungMeasure([[1.0, 0.0]], [0, 1]), "label has shape"),
        (
            lambda: YoungMeasure.of_fibres([[0.0]], [[1.0, 2.0]], [[0.7, 0.7]]),
            r"masses\[0\] sums to 1.4",
        ),
        (
            lambda: YoungMeasure.of_fibres([[0.0], [1.0]], [[1.0], [2.0]], [[1.0], [-1.0]]),
            r"masses\[1\]\[0\] = -1",
        ),
        (lambda: YoungMeasure.of_fibres([[0.0]], [[1.0], [2.0]]), "w has shape"),
    ],
    ids=["line", "half", "nan", "count", "sum", "sign", "rows"],
)
def test_what_is_no_young_measure_is_refused(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


def test_it_goes_to_other_dtypes_and_says_what_it_is():
    mu = YoungMeasure.of_fibres(*draw()).float()
    assert mu.dtype == torch.float32
    assert mu.label.dtype == torch.int64
    assert abs(float(mu.double().mass) - 1) < 1e-12
    assert "fibres=4" in repr(mu)
    assert np.isclose(
        mu.expected_variance, YoungMeasure.of_fibres(*draw()).expected_variance, rtol=1e-5
    )
