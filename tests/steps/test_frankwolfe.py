"""FrankWolfe against closed forms, convex programs on grids, and the dual that knows nothing of its rounds."""

import math

import cvxpy as cp
import numpy as np
import pytest
import torch
from problems import split

import jko
from jko.duality import Envelope, Minorant, step_gap
from jko.duality.cloud import Cloud, scattered
from jko.steps.frankwolfe.pieces import Portions, Sources
from jko.steps.frankwolfe.slide import Chart


def cloud(N: int, dim: int, seed: int = 0, domain=None) -> jko.Particles:
    points = torch.tensor(np.random.default_rng(seed).normal(size=(N, dim)))
    return jko.Particles(points if domain is None else domain.project(points), domain=domain)


def data(M: int, n: int, seed: int = 1, k: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = torch.tensor(rng.normal(size=(M, n)))
    f = torch.stack([torch.sin((2 + j) * x[:, 0]) for j in range(k)], 1)
    return x, f[:, 0] if k == 1 else f


def network(lam: float = 1e-2, k: int = 1, activation=None, n: int = 1) -> jko.Energy:
    x, f = data(12, n, k=k)
    h = jko.Ridge(torch.tanh) if activation is None else activation
    return jko.Risk(jko.Data(x, f), activation=h) + lam * jko.SquaredNorm()


def classes(lam: float = 1e-2) -> jko.Energy:
    x, f = data(12, 1)
    h, signs = jko.Ridge(torch.tanh), torch.where(f > 0, 1.0, -1.0).double()
    return jko.Risk(jko.Data(x, signs), activation=h, loss=jko.Logistic()) + lam * jko.SquaredNorm()


def step(F, mu, tau, **options) -> jko.StepResult:
    return jko.step(F, mu, tau=tau, solver=jko.FrankWolfe(**options))


# closed forms


@pytest.mark.parametrize("tau", [0.3, 0.7, 2.0, 9.0])
@pytest.mark.parametrize("at", [0.0, 0.4])
def test_an_atom_goes_to_both_sides(tau, at):
    moments = jko.Data([[0.0], [1.0]], [1.0, at], weights=[1.0, 1.0])
    F = jko.Risk(moments, features=lambda xi, x: (1 - x.T) * (xi - at) ** 2 + x.T * xi)
    found = step(F, jko.Particles([[at]]), tau)
    m2 = max(1 - 1 / (2 * tau), 0.0)  # the variance; the mean stays
    assert found.objective == pytest.approx((m2 - 1) ** 2 / 2 + m2 / (2 * tau), abs=1e-9)
    assert found.gap.value < 1e-9
    assert found.figures["splits"] == (m2 > 0)


@pytest.mark.parametrize(
    ("s2", "goal", "tau"), [(0.8, 1.5, 2.0), (0.3, -2.0, 5.0), (0.8, 0.4, 2.0)]
)
def test_a_step_leaves_a_saddle_that_no_flow_leaves(s2, goal, tau):
    F = jko.Risk(jko.Data([[1.0]], [goal], [s2]), activation=lambda theta, x: theta @ x.T)
    saddle = jko.Particles([[0.0, 0.0]])
    A = max(abs(goal) - 1 / (s2 * tau), 0.0)
    found = step(F, saddle, tau)
    assert found.objective == pytest.approx(s2 * (A - abs(goal)) ** 2 / 2 + A / tau, abs=1e-9)
    assert jko.step(F, saddle, tau=tau).objective == pytest.approx(s2 * goal**2 / 2)


def test_unequal_weights_split_too():
    problem = split()
    found = step(problem.energy, problem.start, problem.tau)
    assert found.objective == pytest.approx(problem.free, abs=1e-9)
    assert found.coupling.optimal
    assert float(found.cost) == pytest.approx(float(jko.distance(found.state, problem.start)) ** 2)


@pytest.mark.parametrize("lam", [0.1, 0.7, 2.0])
def test_the_minimum_of_a_linear_network(lam):
    s2, goal = 0.8, 1.5
    R = jko.Risk(jko.Data([[1.0]], [goal], [s2]), activation=lambda theta, x: theta @ x.T)
    A = max(goal - lam / s2, 0.0)  # lam/2 (w^2 + theta^2) >= lam |w theta|
    found = jko.minimiser(R + lam * jko.SquaredNorm(), cloud(3, 2))
    assert found.energy == pytest.approx(s2 * (A - goal) ** 2 / 2 + lam * A, abs=1e-8)


# convex programs on grids


def on_a_grid(F, mu: jko.Particles, rate: float, points: np.ndarray, masses: np.ndarray) -> float:
    """The minimum over all plans to the points, by cvxpy: an upper bound that tends to the minimum."""
    minorant, z = Minorant.of(F, mu), torch.tensor(points)
    phi, V = minorant.features(z).numpy(), minorant.potential(z).numpy()
    anchors = mu.points.numpy() if rate else np.zeros((1, points.shape[1]))
    far = 0.5 * rate * ((points[None] - anchors[:, None]) ** 2).sum(2)
    plan = cp.Variable((len(masses), len(points)), nonneg=True)
    y = cp.sum(plan, axis=0) @ phi
    q, f = minorant.q.numpy(), minorant.f.numpy()
    loss = (
        cp.logistic(cp.multiply(-f, y))
        if isinstance(minorant.risks[0].loss, jko.Logistic)
        else 0.5 * (y - f) ** 2
    )
    cost = cp.sum(cp.multiply(plan, V[None] + far))
    program = cp.Problem(cp.Minimize(q @ loss + cost), [cp.sum(plan, axis=1) == masses])
    quadratic = not isinstance(minorant.risks[0].loss, jko.Logistic)
    return float(
        program.solve(**({"solver": "CLARABEL"} if quadratic else {"solver": "SCS", "eps": 1e-5}))
    )


AXIS = np.linspace(-2.5, 2.5, 51)


@pytest.mark.parametrize("make", [network, classes])
def test_no_plan_on_a_grid_is_better(make):
    bump = jko.GaussianBump(0.7)  # theta in d = 1, so that a grid of (w, theta) is fine enough
    F = make()
    R = F.terms[0][1]
    F = jko.Risk(R.data, activation=bump, loss=R.loss) + 0.1 * jko.SquaredNorm()
    points = np.stack(np.meshgrid(AXIS, AXIS, indexing="ij"), -1).reshape(-1, 2)
    mu = cloud(3, 2)
    for tau in (5.0, math.inf):
        whole = tau == math.inf
        found = jko.minimiser(F, mu) if whole else step(F, mu, tau)
        masses = np.ones(1) if whole else mu.weights.numpy()
        least = on_a_grid(F, mu, 0.0 if whole else 1 / tau, points, masses)
        value = found.energy if whole else found.objective
        assert value <= least + 1e-4
        assert least - value < 1e-2  # the grid is as fine as that


def test_interactions_that_are_convex_in_the_measure():
    F = jko.Interaction(lambda z: torch.exp(-(z**2).sum(-1)), convex=True) + jko.Potential(
        lambda z: 0.3 * (z * z - 1).square().sum(-1) + 0.2 * z[:, 0]
    )
    mu, tau = jko.Particles([[-0.3], [0.4], [1.2]], [0.2, 0.5, 0.3]), 3.0
    found = step(F, mu, tau)
    axis = np.linspace(-2, 2, 161)
    K = np.exp(-((axis[:, None] - axis) ** 2)) + 1e-12 * np.eye(len(axis))
    V = 0.3 * (axis**2 - 1) ** 2 + 0.2 * axis
    far = (mu.points.numpy() - axis) ** 2 / (2 * tau)
    plan = cp.Variable(far.shape, nonneg=True)
    m = cp.sum(plan, axis=0)
    energy = 0.5 * cp.quad_form(m, cp.psd_wrap(K)) + m @ V + cp.sum(cp.multiply(plan, far))
    least = cp.Problem(cp.Minimize(energy), [cp.sum(plan, axis=1) == mu.weights.numpy()]).solve()
    assert found.objective <= least + 1e-9
    assert least - found.objective < 1e-3
    assert found.gap.value < 1e-8


# the gap, and what a step promises


@pytest.mark.parametrize(
    ("F", "dim"),
    [
        (network(), 3),
        (network(k=2), 4),
        (classes(), 3),
        (network(activation=jko.GaussianBump(0.5)), 2),
        (network(n=2), 4),
    ],
    ids=["tanh", "two outputs", "logistic", "bumps", "d = 3"],
)
@pytest.mark.parametrize("tau", [0.1, 30.0])
def test_the_gap_is_closed_and_the_dual_agrees(F, dim, tau):
    mu = cloud(4, dim)
    lagrangian, found = jko.step(F, mu, tau=tau), step(F, mu, tau)
    assert found.status is jko.Status.CONVERGED
    assert found.objective <= lagrangian.objective + 1e-12
    other = step_gap(F, mu, tau, lagrangian.state, lagrangian.objective)  # of another search
    assert other.lower_bound - 1e-7 <= found.objective <= other.reachable + 1e-8
    assert 0 <= found.gap.value <= 1e-9 * max(float(F(mu)), found.energy)
    assert found.energy == pytest.approx(float(F(found.state)), abs=1e-12)
    assert found.objective == pytest.approx(found.energy + found.cost / (2 * tau), abs=1e-12)
    assert float(found.state.mass) == pytest.approx(1.0, abs=1e-12)


def test_the_gap_is_that_of_the_linearised_problem():
    F, mu, tau = network(activation=jko.GaussianBump(0.7)), cloud(5, 2), 10.0
    found = step(F, mu, tau, max_iterations=1, gap=1e-3)
    z = torch.tensor(
        np.stack(
            np.meshgrid(np.linspace(-4, 4, 401), np.linspace(-3, 3, 121), indexing="ij"), -1
        ).reshape(-1, 2)
    )
    lowest = (F.variation(found.state, z) + torch.cdist(mu.points, z) ** 2 / (2 * tau)).amin(1)
    plan, y = found.state, found.problem.base.points
    block = torch.cdist(y, mu.points).argmin(1)
    value = F.variation(plan) + (plan.points - y).square().sum(1) / (2 * tau)
    by_hand = float(plan.weights @ (value - lowest[block]))
    assert found.gap.value == pytest.approx(by_hand, abs=2e-3)
    assert found.gap.value >= by_hand - 1e-12


def test_a_proof_is_one():
    found = step(network(), cloud(4, 3), 10.0, prove=True)
    assert found.gap.rigorous
    best = jko.minimiser(network(), cloud(4, 3), solver=jko.FrankWolfe(prove=True))
    assert best.certificate.rigorous
    assert best.certificate.lower_bound <= best.energy <= best.certificate.lower_bound + 1e-9


def test_a_box_is_kept():
    box = jko.Box([-1.0, -1.0, -1.0], [1.0, 2.0, 1.0])
    mu = cloud(6, 3, domain=box)
    found, free = step(network(), mu, 100.0), step(network(), jko.Particles(mu.points), 100.0)
    box.check("points", found.state.points)
    assert found.objective > free.objective + 1e-4
    assert found.gap.value < 1e-9


def test_a_pair_steps_as_its_lift():
    xi = cloud(5, 3).points
    pair = jko.ChargedParticles(xi[:, 1:], xi[:, 0])
    found, lifted = step(network(), pair, 30.0), step(network(), jko.Particles(xi), 30.0)
    assert isinstance(found.state, jko.ChargedParticles)
    assert found.objective == pytest.approx(lifted.objective, abs=1e-9)


def test_a_flow_goes_on_from_what_has_split():
    F = network(lam=1e-3)
    run = jko.flow(F, cloud(8, 3), tau=100.0, steps=4, solver=jko.FrankWolfe())
    assert (run.slacks >= 0).all()
    assert (run.columns["gap"] <= 1e-9 * run.energies[0]).all()
    assert [len(state.weights) for state in run.states[1:]] == run.columns["atoms"].tolist()
    best = jko.minimiser(F, cloud(8, 3))
    assert best.energy <= run.energies[-1]


def test_single_precision_stops_where_it_rounds():
    x, f = (part.float() for part in data(12, 1))
    F = jko.Risk(jko.Data(x, f), activation=jko.Ridge(torch.tanh)) + 1e-2 * jko.SquaredNorm()
    mu = cloud(6, 3)
    found = jko.step(
        F, jko.Particles(mu.points.float()), tau=10.0, solver=jko.FrankWolfe(), throw=False
    )
    assert found.state.points.dtype == torch.float32
    assert found.objective == pytest.approx(step(network(), mu, 10.0).objective, abs=1e-5)


# limits, and what is refused


def test_it_says_when_it_stops_early():
    F, mu = network(lam=1e-3), cloud(20, 3)
    early = jko.step(F, mu, tau=100.0, solver=jko.FrankWolfe(max_iterations=1), throw=False)
    assert early.status is jko.Status.MAX_ITERATIONS
    best = step(F, mu, 100.0).objective
    assert early.objective <= jko.step(F, mu, tau=100.0).objective
    assert best <= early.objective <= best + early.gap.value + 1e-12
    late = jko.step(F, mu, tau=100.0, solver=jko.FrankWolfe(seconds=1e-9), throw=False)
    assert late.status is jko.Status.MAX_ITERATIONS
    with pytest.raises(jko.StepFailed):
        step(F, mu, 100.0, max_iterations=1)


def test_it_can_be_watched_and_ended():
    seen = []
    found = jko.minimiser(network(), cloud(5, 3), solver=jko.FrankWolfe(watch=seen.append))
    assert tuple(seen) == found.rounds
    assert set(found.history) == {"energies", "gaps", "atoms", "seconds"}
    assert (np.diff(found.history["energies"]) <= 0).all()

    def enough(seen):
        raise StopIteration

    ended = jko.minimiser(network(), cloud(5, 3), solver=jko.FrankWolfe(watch=enough))
    assert ended.status is jko.Status.STOPPED
    assert ended.gap >= ended.energy - found.energy


def test_kinks_are_said():
    F, mu = network(activation=jko.Ridge(torch.relu), n=2), cloud(8, 4)
    found = step(F, mu, 5.0, gap=1e-5)
    assert found.status is jko.Status.STALLED
    assert "kinks" in found.gap.reason
    assert found.objective <= jko.step(F, mu, tau=5.0, throw=False).objective


@pytest.mark.parametrize(
    ("energy", "start", "sentence"),
    [
        (jko.Interaction(lambda z: z[:, 0] ** 2), cloud(2, 1), "not declared convex"),
        (-1 * network(), cloud(2, 3), "coefficient -1 < 0"),
        (
            network(),
            cloud(2, 3, domain=jko.Ball([0.0] * 3, 5.0)),
            "in all of space or in a jko.Box",
        ),
    ],
    ids=["interaction", "negative", "ball"],
)
def test_what_it_cannot_do_is_refused(energy, start, sentence):
    with pytest.raises(ValueError, match=sentence):
        step(energy, start, 1.0)
    with pytest.raises(ValueError, match=sentence):
        jko.minimiser(energy, start)


def test_what_has_no_minimum_is_refused():
    risk = network().terms[0][1]
    with pytest.raises(ValueError, match="nothing in the energy keeps w from infinity"):
        jko.minimiser(risk, cloud(3, 3))
    box = jko.Box([-9.0, -2.0, -2.0], [9.0, 2.0, 2.0])
    assert jko.minimiser(risk, cloud(3, 3, domain=box)).energy < 1e-2
    with pytest.raises(TypeError, match="solver is for atoms"):
        jko.minimiser(jko.Entropy(), jko.Grid((0.0, 1.0), 4), solver=jko.FrankWolfe())


# its parts


def test_a_chart_has_the_slope_of_its_values():
    mu = cloud(3, 3)
    sources = Sources(network(), mu.points, mu.weights, 0.1, None)
    block, masses = (
        torch.tensor([0, 0, 1, 2, 2, 2]),
        torch.tensor([0.1, 7 / 30, 1 / 3, 0.1, 0.2, 1 / 30]),
    )
    chart = Chart(sources, Portions(cloud(6, 3, 5).points, block, masses.double()))
    u = chart.start + 0.1 * np.random.default_rng(0).normal(size=len(chart.start))
    slope = chart(u)[1]
    for k in range(len(u)):
        e = 1e-6 * (np.arange(len(u)) == k)
        assert (chart(u + e)[0] - chart(u - e)[0]) / 2e-6 == pytest.approx(slope[k], abs=1e-7)
    plan = chart.plan(u)
    assert torch.allclose(sources.summed(plan, plan.masses), mu.weights)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("rate", [0.0, 0.2])
def test_a_cloud_that_is_kept_prices_as_one_that_is_not(k, rate):
    F, mu = network(k=k), cloud(4, 2 + k)
    envelope = Envelope(Minorant.of(F, mu), mu.points, rate, None, mu.points)
    points, g = scattered(envelope, 30, 0), envelope.minorant.residual
    kept, plain = Cloud.of(envelope, points, keep=True), Cloud.of(envelope, points)
    assert torch.allclose(kept.paid(envelope, g), plain.paid(envelope, g))
    z, block = kept.basins(envelope, g, 2)
    table = envelope.table(g, points)
    assert torch.allclose(
        envelope.value(g, z, block)[block.diff(prepend=block[:1] - 1) > 0], table.amin(1)
    )


def test_tidying_keeps_the_mass_of_each_source():
    mu = cloud(2, 1)
    sources = Sources(jko.SquaredNorm(), mu.points, mu.weights, 1.0, None)
    points = torch.tensor([[0.0], [5.0], [1.0], [1.00001], [9.0]]).double()
    plan = Portions(
        points, torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0.5, 1e-9, 0.2, 0.2, 0.1]).double()
    )
    tidy = sources.tidied(plan, tiny=1e-5, near=1e-4)
    assert tidy.block.tolist() == [0, 1, 1]
    assert torch.allclose(tidy.points[:, 0], torch.tensor([0.0, 1.000005, 9.0]).double())
    assert torch.allclose(tidy.masses, torch.tensor([0.5, 0.4, 0.1]).double())
