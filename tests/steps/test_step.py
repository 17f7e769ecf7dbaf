"""A step minimises E + cost / (2 tau), proves its coupling, and says so when it cannot."""

import itertools
import math

import pytest
import torch

import jko


def network(N=40, d=3, M=60, lam=1e-3, seed=0, sigma=torch.tanh):
    """A tanh network on random data, and its neurons."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(M, d - 1, generator=generator, dtype=torch.float64)
    f = torch.sin(2 * x[:, 0]) + 0.5 * x.prod(1)
    energy = jko.Risk(jko.Data(x, f), activation=jko.Ridge(sigma)) + lam * jko.SquaredNorm()
    return energy, jko.Particles.normal(N, d + 1, generator=generator)


SOLVERS = [jko.LBFGS(tol=1e-11), jko.BlockNewton(tol=1e-11), jko.Plans(jko.BlockNewton(tol=1e-11))]
by_name = {"ids": lambda value: type(value).__name__}
DOMAINS = [
    jko.Box([-1.0] * 4, [0.8] * 4),
    jko.Ball([0.0] * 4, 1.2),
    jko.spaces.Cylinder(jko.Ball([0.0] * 3, 0.7)),
    jko.spaces.Convex(lambda z: z.clamp(-0.5, 0.9)),
]


@pytest.mark.parametrize("solver", SOLVERS, **by_name)
@pytest.mark.parametrize("tau", [0.1, 1.0])
def test_the_euler_lagrange_equation_holds_at_the_new_atoms(solver, tau):
    """grad dE/dmu(T) + (T - id)/tau = 0, with the gradient by finite differences of the energy."""
    energy, mu = network(N=6)
    new = jko.step(energy, mu, tau=tau, solver=solver).state.points
    h = 1e-5
    for i, k in ((0, 0), (3, 2), (5, 1)):
        moved = [new.clone() for _ in range(2)]
        moved[0][i, k] += h
        moved[1][i, k] -= h
        up, down = (float(energy(mu.moved(points))) for points in moved)
        slope = mu.N * (up - down) / (2 * h)
        assert slope + float(new[i, k] - mu.points[i, k]) / tau == pytest.approx(0, abs=1e-8)


def test_all_solvers_find_the_same_step_where_it_is_convex():
    energy, mu = network()
    states = [jko.step(energy, mu, tau=0.5, solver=solver).state.points for solver in SOLVERS]
    assert float((states[0] - states[1]).abs().max()) < 1e-9
    assert float((states[2] - states[1]).abs().max()) < 1e-9


@pytest.mark.parametrize("weights", ["equal", "unequal"])
def test_unequal_weights_need_no_special_case(weights):
    """A measure with an atom cut in two steps like the measure with the atom whole."""
    energy, mu = network(N=8)
    m = mu.weights if weights == "equal" else torch.arange(1.0, 9.0, dtype=torch.float64) / 36
    whole = jko.Particles(mu.points, m)
    cut = jko.Particles(
        torch.cat([mu.points, mu.points[:1]]), torch.cat([m[:1] / 3, m[1:], 2 * m[:1] / 3])
    )
    one = jko.step(energy, whole, tau=0.3, solver=jko.BlockNewton(tol=1e-12))
    two = jko.step(energy, cut, tau=0.3, solver=jko.BlockNewton(tol=1e-12))
    assert float((one.state.points - two.state.points[:8]).abs().max()) < 1e-11
    assert one.objective == pytest.approx(two.objective, rel=1e-13)


def test_newton_converges_quadratically():
    energy, mu = network(N=100)
    residuals = [
        jko.step(
            energy, mu, tau=0.5, solver=jko.BlockNewton(tol=1e-15, max_iterations=k), throw=False
        ).residual
        for k in range(1, 5)
    ]
    small = [r for r in residuals if 1e-13 < r < 1e-1]
    assert len(small) >= 2
    for a, b in itertools.pairwise(small):
        assert math.log(b) < 1.6 * math.log(a)


def test_the_iterative_newton_system_gives_the_direct_solution(monkeypatch):
    from jko.steps import newton

    energy, mu = network()
    energy = energy + 0.3 * jko.Interaction(lambda z: torch.exp(-(z * z).sum(-1)))
    iterative = jko.step(energy, mu, tau=0.5, solver=jko.BlockNewton(tol=1e-11))
    assert iterative.iterations <= 8
    plain, _ = network()
    direct = jko.step(plain, mu, tau=0.5, solver=jko.BlockNewton(tol=1e-12))
    monkeypatch.setattr(newton, "WOODBURY", 0)
    again = jko.step(plain, mu, tau=0.5, solver=jko.BlockNewton(tol=1e-12))
    assert float((again.state.points - direct.state.points).abs().max()) < 1e-11


@pytest.mark.parametrize("domain", DOMAINS, **by_name)
@pytest.mark.parametrize("solver", SOLVERS, **by_name)
def test_a_domain_holds_the_atoms_and_the_variational_inequality(domain, solver):
    """<g_i, z - T_i> >= 0 for all z of the domain: the first-order condition of the constrained step."""
    energy, free = network()
    energy = energy + 0.5 * jko.Potential(lambda xi: -xi.sum(-1))  # pushes against the boundary
    mu = jko.Particles(domain.project(free.points), domain=domain)
    result = jko.step(energy, mu, tau=1.0, solver=solver)
    T = result.state.points
    g = energy.gradient(result.state) + (T - mu.points) / 1.0
    generator = torch.Generator().manual_seed(1)
    z = domain.project(3 * torch.randn(50, 4, generator=generator, dtype=torch.float64))
    inequality = ((z[:, None, :] - T[None]) * g[None]).sum(-1)
    assert float((domain.project(T) - T).abs().max()) < 1e-14
    assert float(inequality.min()) > -1e-9
    assert float(g.norm(dim=-1).max()) > 1e-2  # the constraint is active somewhere


def test_solvers_agree_on_a_domain():
    energy, free = network()
    for domain in DOMAINS:
        mu = jko.Particles(domain.project(free.points), domain=domain)
        a, b = (jko.step(energy, mu, tau=0.5, solver=s).state.points for s in SOLVERS[:2])
        assert float((a - b).abs().max()) < 1e-9


@pytest.mark.parametrize("tau", [0.1, 1.0, 10.0, 100.0])
def test_the_inexact_step_lowers_the_objective_and_certifies_its_coupling(tau):
    energy, mu = network()
    result = jko.step(energy, mu, tau=tau)
    moved = result.state.points - mu.points
    cost = float(mu.inner(moved, moved))
    assert result.status is jko.Status.CONVERGED
    assert result.slack > 0
    assert result.residual <= 0.1 * cost**0.5 / tau * (1 + 1e-12)
    assert result.coupling.optimal
    assert result.cost == pytest.approx(jko.distance(result.state, mu).squared, rel=1e-10)
    assert result.objective == pytest.approx(result.energy + result.cost / (2 * tau), rel=1e-14)


def test_a_wrong_labelling_is_found_and_mended():
    """Two atoms that swap their places at high cost: relabelled, they stay where they are, at no cost."""
    energy = jko.Potential(lambda xi: 0.0 * xi[:, 0])
    mu = jko.Particles([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    from jko.steps.lagrangian import Minimised, solve_lagrangian
    from jko.steps.problem import StepProblem

    calls = []

    def swap_once(problem, coupling, point, memory):
        x = point.x if calls else point.x[[1, 0, 2]]
        calls.append(coupling)
        return Minimised(coupling.objective(problem)(x), 0.0, 1, 1, jko.Status.CONVERGED, {})

    result = solve_lagrangian(StepProblem(energy, jko.Wasserstein(), mu, 1.0), swap_once)
    assert len(calls) == 2
    assert result.cost == 0
    assert result.coupling.optimal
    assert torch.equal(result.state.points, mu.points)


def test_plans_split_mass_where_that_pays():
    """1/3 at 0 and 2/3 at 1; the mean must be 1/3 and every atom at 0 or 1: mass must leave the atom at 1."""
    at_wells = 400 * jko.Potential(lambda z: (z**2 * (1 - z) ** 2)[:, 0])
    mean = jko.Risk(jko.Data([[0.0]], [1 / 3], weights=[4000.0]), features=lambda z, x: z)
    mu = jko.Particles([[0.0], [1.0]], [1 / 3, 2 / 3])
    whole = jko.step(at_wells + mean, mu, tau=2.0)
    split = jko.step(at_wells + mean, mu, tau=2.0, solver=jko.Plans(jko.LBFGS(tol=1e-11)))
    assert whole.objective > 16  # a local minimum in the positions
    assert split.objective == pytest.approx(
        0.0832864746, abs=1e-9
    )  # 1/12, less what moving off the wells saves
    assert abs(split.certificate().value) < 1e-12
    assert float(split.state.mass) == pytest.approx(1, abs=1e-14)
    assert split.cost == pytest.approx(jko.distance(split.state, mu).squared, rel=1e-9)


@pytest.mark.parametrize("kind", ["measure", "graph"])
def test_plans_reach_the_minimum_over_all_measures(kind):
    energy, mu = network(N=20)
    start = mu if kind == "measure" else mu.project()
    whole = jko.step(energy, start, tau=10.0, solver=jko.LBFGS(tol=1e-11))
    split = jko.step(energy, start, tau=10.0, solver=jko.Plans(jko.BlockNewton(tol=1e-11)))
    gap = whole.certificate().value
    assert gap > 1e-4
    assert whole.objective - split.objective == pytest.approx(gap, rel=1e-9)
    assert abs(split.certificate().value) < 1e-12
    assert split.state.N > 20


@pytest.mark.parametrize("tau", [1.0, 10.0, 100.0])
def test_relu_steps_end_on_their_value(tau):
    """At a kink no gradient vanishes: the step ends where the value stops falling, and is a step all the same."""
    energy, mu = network(N=100, sigma=torch.relu)
    result = jko.step(energy, mu, tau=tau)
    longer = jko.step(energy, mu, tau=tau, solver=jko.LBFGS(tol=1e-9), throw=False)
    assert result.status in (jko.Status.STALLED, jko.Status.CONVERGED)
    assert result.slack > 0
    assert result.objective - longer.objective < 0.05 * (float(energy(mu)) - longer.objective)


def test_the_same_input_gives_the_same_bits():
    energy, mu = network()
    for solver in (jko.LBFGS(), *SOLVERS):
        a, b = (jko.step(energy, mu, tau=2.0, solver=solver).state.points for _ in range(2))
        assert torch.equal(a, b)


def test_the_memory_saves_work_and_changes_no_problem():
    energy, mu = network(N=100)
    first = jko.step(energy, mu, tau=5.0)
    tight = jko.LBFGS(tol=1e-10)
    cold = jko.step(energy, first.state, tau=0.5, solver=tight)
    warm = jko.step(energy, first.state, tau=0.5, solver=tight, memory=first.memory)
    assert warm.evaluations < cold.evaluations
    assert float((warm.state.points - cold.state.points).abs().max()) < 1e-8


def test_the_graph_step_is_the_step_of_the_lift():
    energy, mu = network()
    pair = mu.project()
    a = jko.step(energy, mu, tau=0.5)
    b = jko.step(energy, pair, tau=0.5)
    assert isinstance(b.state, jko.ChargedParticles)
    assert torch.equal(b.state.lift().points, a.state.points)
    assert b.cost == a.cost


def test_a_fold_ends_the_step_with_the_remedy():
    """Both atoms are pushed to the wall theta = 1 with their different H: no graph any more."""
    pair = jko.ChargedParticles([[0.5], [0.9]], [1.0, -1.0], domain=jko.Box(0.0, 1.0))
    energy = jko.Potential(lambda xi: -xi[:, 1])
    with pytest.raises(jko.StepFailed, match=r"NOT_A_GRAPH.*lift\(\)") as failure:
        jko.step(energy, pair, tau=1.0)
    assert failure.value.result.status is jko.Status.NOT_A_GRAPH
    lifted = jko.step(energy, pair.lift(), tau=1.0)
    assert lifted.state.points.tolist() == [[1.0, 1.0], [-1.0, 1.0]]


@pytest.mark.parametrize(
    ("potential", "status"),
    [
        (lambda xi: 1 / (xi[:, 0] * 0), jko.Status.NOT_FINITE),
        (lambda xi: torch.log(xi[:, 0] - 10), jko.Status.NOT_FINITE),
    ],
)
def test_an_energy_that_is_not_finite_fails_with_a_sentence(potential, status):
    energy = jko.Potential(potential)
    with pytest.raises(jko.StepFailed, match=r"NOT_FINITE.*not finite"):
        jko.step(energy, jko.Particles([[1.0]]), tau=1.0)
    assert jko.step(energy, jko.Particles([[1.0]]), tau=1.0, throw=False).status is status


def test_a_gradient_that_does_not_match_is_seen():
    class Liar(jko.Energy):
        convex = True

        def __call__(self, state):
            return state.integrate(state.points[:, 0])

        def variation(self, state, at=None):
            at = state.points if at is None else at
            return -at[:, 0]

    result = jko.step(Liar(), jko.Particles([[1.0], [2.0]]), tau=1.0, throw=False)
    assert not (result.status is jko.Status.CONVERGED and result.slack < 0)


def test_running_out_of_iterations_is_said():
    energy, mu = network()
    with pytest.raises(jko.StepFailed, match=r"MAX_ITERATIONS.*raise max_iterations"):
        jko.step(energy, mu, tau=10.0, solver=jko.LBFGS(tol=1e-13, max_iterations=2))


def test_float32_works_and_keeps_its_dtype():
    energy, mu = network()
    data = energy.energies[0].data
    small = (
        jko.Risk(jko.Data(data.x.float(), data.f.float()), activation=jko.Ridge(torch.tanh))
        + 1e-3 * jko.SquaredNorm()
    )
    result = jko.step(small, jko.Particles(mu.points.float()), tau=0.5)
    double = jko.step(energy, mu, tau=0.5)
    assert result.state.points.dtype == torch.float32
    assert result.objective == pytest.approx(double.objective, rel=1e-4)
