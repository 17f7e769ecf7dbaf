"""Every energy, metric, solver and state of the library, found by its class, keeps the promises of ``jko.testing``."""

import pytest
from registry import ENERGIES, METRICS, SOLVERS, STATES, concrete, solvers

import jko
from jko.testing import check_energy, check_metric, check_solver, check_state

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
