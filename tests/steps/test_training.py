"""Steps that train: any residual that is a multiple of the step's length, and couplings examined on request."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch

import jko
from jko import Status, metrics
from jko.metrics import Proof, as_array, certify
from jko.steps import penalty
from jko.testing import check_solver

ACTIVATIONS = (torch.tanh, torch.sigmoid, torch.sin, torch.nn.functional.softplus)


def problem(seed, dtype=torch.float64):
    """A random network with random data: its energy, its neurons and a time step."""
    g = torch.Generator().manual_seed(seed)
    n, M, N = (int(torch.randint(*r, (), generator=g)) for r in ((1, 7), (3, 40), (2, 60)))
    x = torch.randn(M, n, generator=g, dtype=torch.float64)
    f = torch.sin(2 * x[:, 0]) + 0.3 * torch.randn(M, generator=g, dtype=torch.float64)
    data = jko.Data(x.to(dtype), f.to(dtype))
    lam = float(10 ** (-4 * torch.rand((), generator=g)))
    energy = jko.Risk(data, activation=jko.Ridge(ACTIVATIONS[seed % 4])) + lam * jko.SquaredNorm()
    points = torch.randn(N, n + 2, generator=g, dtype=torch.float64)
    weights = torch.rand(N, generator=g, dtype=torch.float64) + 0.1 if seed % 3 == 0 else None
    weights = None if weights is None else (weights / weights.sum()).to(dtype)
    mu = jko.Particles(points.to(dtype), weights)
    return energy, mu, float(10 ** (4 * torch.rand((), generator=g) - 1))


@pytest.mark.parametrize("fraction", [1.5, 5.0, 40.0])
@pytest.mark.parametrize("seed", range(8))
def test_every_step_has_the_decrease_and_the_relative_error_of_the_theorem(seed, fraction):
    """H1 with a = 1 / (2 tau) and H2 with b = (1 + c) / tau, measured at the states alone."""
    energy, mu, tau = problem(seed)
    lengths = []

    def look(k, t, result):
        old, new = result.problem.base, result.state
        if result.slack < 1e-13 * result.before:  # at rest, as far as numbers tell
            raise StopIteration(Status.AT_REST)
        length = float(old.inner(new.points - old.points, new.points - old.points)) ** 0.5
        slope = energy.gradient(new)
        size = float(old.inner(slope, slope)) ** 0.5
        before, after = float(energy(old)), float(energy(new))
        assert after + length**2 / (2 * tau) <= before * (1 + 1e-14)
        assert size <= (1 + fraction) * length / tau * (1 + 1e-6)
        assert length**2 == pytest.approx(result.cost, rel=1e-12)
        assert result.status is Status.CONVERGED
        lengths.append(length)

    solver = jko.LBFGS(fraction=fraction, examine=False)
    jko.flow(energy, mu, tau=tau, steps=15, solver=solver, observers=[look])
    assert len(lengths) >= 3


def test_a_long_run_comes_to_a_critical_point():
    energy, mu, _ = problem(1)
    run = jko.flow(energy, mu, tau=100.0, steps=150, save=150, solver=jko.LBFGS.training())
    slope = energy.gradient(run.final)
    assert float(run.final.inner(slope, slope)) ** 0.5 < 1e-6
    assert (run.slacks >= -1e-15).all()


def test_training_is_the_loose_criterion_without_proofs():
    assert jko.LBFGS.training() == jko.LBFGS(fraction=5.0, examine=False)
    assert jko.LBFGS.training(examine=True) == jko.LBFGS(fraction=5.0)
    with pytest.raises(TypeError, match="examine"):
        jko.LBFGS(examine=1)
    with pytest.raises(TypeError, match="examine"):
        jko.BlockNewton(examine="no")
    with pytest.raises(ValueError, match="fraction"):
        jko.LBFGS(fraction=0.0)


@pytest.fixture
def examined(monkeypatch):
    """The couplings that were examined."""
    seen = []

    def counted(*arguments):
        seen.append(arguments)
        return metrics.examined(*arguments)

    monkeypatch.setattr(penalty, "examined", counted)
    return seen


def trained(seed=1, solver=None):
    energy, mu, _ = problem(seed)
    return jko.step(energy, mu, tau=10.0, solver=solver or jko.LBFGS.training())


def test_nothing_but_reading_examines_a_coupling(examined):
    result = trained()
    assert "NOT_EXAMINED" in str(result)
    assert "NOT_EXAMINED" in repr(result)
    result = replace(result, iterations=7).joined(
        result.problem, result.state, energy=result.energy, cost=result.cost
    )
    result = pickle.loads(pickle.dumps(copy.deepcopy(copy.copy(result))))
    known = result.coupling.known
    assert (known.proof, known.cost, known.bound) == (
        Proof.NOT_EXAMINED,
        result.cost,
        result.cost,
    )
    assert not known.optimal
    assert known.plan is None
    assert examined == []
    bound = result.coupling.bound
    assert len(examined) == 1
    assert result.coupling.bound == bound
    assert len(examined) == 1
    assert result.coupling.known is result.coupling


def test_what_is_read_is_the_certificate_of_the_two_states():
    result = trained()
    old, new = result.problem.base, result.state.atoms
    potential = result.problem.tau * result.problem.energy.variation(new)
    parts = (as_array(t) for t in (new.points, old.points, new.weights, potential))
    found, direct = result.coupling, certify(*parts)
    assert (found.proof, found.optimal) == (direct.proof, direct.optimal)
    assert found.bound == pytest.approx(direct.bound, abs=1e-12 * result.cost)
    assert found.cost == pytest.approx(result.cost, rel=1e-12)
    again = pickle.loads(pickle.dumps(found))
    assert (again.proof, again.bound, again.cost) == (found.proof, found.bound, found.cost)
    assert str(again) == str(found)
    assert repr(again) == repr(found)
    with pytest.raises(AttributeError, match="verdict"):
        found.verdict  # noqa: B018


def test_a_coupling_that_is_not_optimal_is_read_as_such_and_the_step_stands():
    """Two neurons that change places: the index coupling costs more than leaving them where they are."""
    mu = jko.Particles([[0.0], [1.0]])
    target = torch.tensor([[1.1], [-0.1]], dtype=torch.float64)
    energy = jko.Potential(lambda z: 0 * z[:, 0]) + jko.SquaredNorm()
    result = jko.step(energy, mu, tau=1.0, solver=jko.LBFGS(examine=False))
    moved = result.problem.state(target)
    swapped = penalty.Coupling(mu.points)
    point = swapped.objective(result.problem)(moved.points)
    promised = swapped.promised(result.problem, point)
    assert promised.known.bound == pytest.approx(1.21)
    assert not promised.optimal
    assert promised.plan is not None
    assert promised.bound == pytest.approx(1.2)


def test_a_ledger_says_that_nothing_was_examined(examined):
    energy, mu, tau = problem(2)
    run = jko.flow(energy, mu, tau=tau, steps=4, solver=jko.LBFGS.training())
    assert examined == []
    assert run.columns["proofs"].tolist() == ["NOT_EXAMINED"] * 4
    assert run.columns["bounds"].tolist() == run.costs.tolist()
    old, new = run.states[1:3]  # a proof for later: of two states that were kept
    weights = as_array(old.weights)
    assert certify(as_array(new.points), as_array(old.points), weights).bound <= run.costs[1]


def test_a_run_with_proofs_says_which(examined):
    energy, mu, _ = problem(1)
    run = jko.flow(energy, mu, tau=1.0, steps=4, solver=jko.LBFGS.training(examine=True))
    assert len(examined) >= 4
    assert "NOT_EXAMINED" not in run.columns["proofs"]
    assert (run.columns["bounds"] <= 1e-10 * run.costs).all()


def test_a_run_goes_on_with_the_same_bits(tmp_path):
    energy, mu, _ = problem(5)
    whole = jko.flow(energy, mu, tau=30.0, steps=6, solver=jko.LBFGS.training())
    half = jko.flow(
        energy, mu, tau=30.0, steps=3, solver=jko.LBFGS.training(), checkpoint=tmp_path / "a.npz"
    )
    half = jko.Trajectory.load(tmp_path / "a.npz")
    again = jko.flow(energy, half, tau=30.0, steps=6, solver=jko.LBFGS.training())
    assert again.energies.tolist() == whole.energies.tolist()
    assert again.columns["proofs"].tolist() == whole.columns["proofs"].tolist()


@pytest.mark.parametrize("solver", [jko.LBFGS.training(), jko.BlockNewton(examine=False)])
def test_they_keep_the_promises_of_a_solver(solver):
    check_solver(solver)


PAIR = jko.ChargedDensity.from_function(
    jko.Grid((-3.0, 3.0), 40), lambda x: (-2 * x[:, 0] ** 2).exp(), lambda x: x[:, 0]
)
RHO = jko.Particles([[0.5, 1.0], [2.0, 0.0], [-1.0, 0.3]])
SPAN = jko.ChargedSpan(RHO, lambda t: t[:, 0], jko.Ridge(torch.tanh), [[0.0], [1.0]])


@pytest.mark.parametrize(
    ("state", "options", "known"),
    [
        (PAIR, {"solver": jko.steps.Remapped(jko.LBFGS.training())}, "NOT_EXAMINED"),
        (SPAN, {"solver": jko.steps.Alternating(jko.LBFGS.training())}, "NOT_EXAMINED"),
        (
            SPAN,
            {"solver": jko.steps.Alternating(jko.LBFGS.training()), "scheme": jko.Strang()},
            "NONE",
        ),
        (RHO, {"solver": jko.BlockNewton(examine=False), "scheme": jko.SDIRK2()}, "NONE"),
        (
            RHO,
            {
                "solver": jko.LBFGS.training(),
                "metric": jko.metrics.SlicedWasserstein(
                    8, generator=torch.Generator().manual_seed(0)
                ),
            },
            "OWN_COST",
        ),
        (
            RHO,
            {"solver": jko.LBFGS.training(), "metric": jko.metrics.ScaledWasserstein([1.0, 2.0])},
            None,
        ),
        (RHO.project(), {"solver": jko.LBFGS.training()}, "NOT_EXAMINED"),
    ],
)
def test_solvers_and_schemes_around_them_pass_it_on(state, options, known, examined):
    run = jko.flow(jko.SquaredNorm(), state, tau=0.2, steps=2, **options)
    assert set(run.columns["proofs"]) == {known or "NOT_EXAMINED"}
    assert examined == []


def test_plans_are_exact_whatever_their_positions_say():
    mu = jko.Particles([[0.0], [1.0], [3.0]], [0.2, 0.3, 0.5])
    result = jko.step(
        jko.SquaredNorm(), mu, tau=1.0, solver=jko.Plans(positions=jko.LBFGS.training())
    )
    assert result.coupling.known.proof is Proof.LINE
