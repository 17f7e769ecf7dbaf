"""Every energy, metric, solver and state of the library, found by its class, keeps the promises of ``jko.testing``."""

import pytest
from registry import ENERGIES, METRICS, SOLVERS, STATES, concrete, gauss, risk, solvers

import jko
from jko.measures import OnCells
from jko.metrics import natural_metric
from jko.steps import StepProblem, natural_solver
from jko.testing import check_energy, check_metric, check_solver, check_state, samples

FOUND = {
    "energies": (lambda: concrete(jko.Energy), ENERGIES),
    "metrics": (lambda: concrete(jko.Metric), METRICS),
    "states": (lambda: concrete(jko.State), STATES),
    "solvers": (solvers, SOLVERS),
}


def made(example):
    """What an entry of the registry makes: the object, what to try it on, and options."""
    found = example()
    found = found if isinstance(found, tuple) else (found,)
    return (*found, *(None, {})[len(found) - 1 :])


@pytest.mark.parametrize("kind", FOUND)
def test_every_class_has_an_example(kind):
    walk, examples = FOUND[kind]
    classes = set(walk())
    assert len(classes) > 5
    missing = {f"{c.__module__}.{c.__name__}" for c in classes - examples.keys()}
    assert missing == set(), "write an example into tests/registry.py"
    assert examples.keys() - classes == set()


@pytest.mark.parametrize("kind", ENERGIES, ids=lambda kind: kind.__name__)
def test_energies(kind):
    energy, states, options = made(ENERGIES[kind])
    assert isinstance(energy, kind)
    check_energy(energy, states, **options)


@pytest.mark.parametrize("kind", METRICS, ids=lambda kind: kind.__name__)
def test_metrics(kind):
    metric, states, options = made(METRICS[kind])
    assert isinstance(metric, kind)
    check_metric(metric, states, **options)


@pytest.mark.parametrize("kind", SOLVERS, ids=lambda kind: kind.__name__)
def test_solvers(kind):
    solver, problems, _ = made(SOLVERS[kind])
    assert isinstance(solver, kind)
    check_solver(solver, problems)


@pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)
def test_states(kind):
    state = STATES[kind]()
    assert type(state) is kind
    check_state(state)


@pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)
def test_the_natural_metric_of_every_state(kind):
    states = [STATES[kind](turn) for turn in range(3)]
    metric = natural_metric(states[0])
    *_, options = made(METRICS[type(metric)])
    check_metric(metric, states, **options)


@pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)
def test_energies_of_every_state(kind):
    state = STATES[kind]()
    check_energy(jko.Interaction(gauss) + jko.SquaredNorm(), [state])
    if isinstance(state, OnCells):
        check_energy(jko.Entropy() + 0.5 * jko.PorousMedium(2), [state])


@pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)
def test_the_natural_solver_of_every_state(kind):
    state = STATES[kind]()
    inside = 0.1 * jko.Entropy() if isinstance(state, jko.GridDensity) else 0 * jko.SquaredNorm()
    problem = StepProblem(jko.SquaredNorm() + inside, natural_metric(state), state, 0.1)
    check_solver(natural_solver(state), [problem])


@pytest.mark.parametrize("solver", [jko.LBFGS(), jko.BlockNewton()])
def test_solvers_of_atoms_with_walls_and_in_scaled_metrics(solver):
    mu, ball = samples.cloud(3), jko.Ball([0.0, 0.0, 0.0], 2.0)
    walled = jko.Particles(ball.project(mu.points), mu.weights, ball)
    E = jko.Potential(lambda z: -z[:, 0]) + risk()
    scaled = jko.metrics.ScaledWasserstein([1.0, 4.0, 2.0])
    pairs = [(walled, jko.Wasserstein()), (mu, scaled), (samples.pair(2), jko.GraphWasserstein())]
    check_solver(solver, [StepProblem(E, metric, state, 0.2) for state, metric in pairs])


@pytest.mark.parametrize("kind", [jko.metrics.SlicedWasserstein, jko.metrics.SinkhornDivergence])
def test_steps_in_metrics_with_a_cost_of_their_own(kind):
    metric, mu = made(METRICS[kind])[0], samples.cloud(2, equal=True)
    check_solver(jko.LBFGS(), [StepProblem(jko.SquaredNorm(), metric, mu, 0.2)])


@pytest.mark.parametrize("energy", [jko.Potential(samples.quartic), jko.KernelEntropy(1.0)])
def test_single_precision_is_judged_as_such(energy):
    clouds = [jko.Particles(samples.points(5, 2, turn).float()) for turn in range(3)]
    check_energy(energy, clouds)
    check_metric(jko.Wasserstein(), clouds)
    check_solver(jko.LBFGS(), [StepProblem(energy, jko.Wasserstein(), clouds[0], 0.1)])
    check_state(clouds[0])


def test_one_atom_at_rest_is_no_break():
    mu = jko.Particles([[0.0, 0.0]])
    check_energy(jko.SquaredNorm(), [mu])
    check_solver(jko.LBFGS(), [StepProblem(jko.SquaredNorm(), jko.Wasserstein(), mu, 0.1)])
    check_state(mu)
