"""Random problems: a step keeps what every step promises, or is refused in a sentence; nothing warns."""

import math
import warnings

import numpy as np
import ot
import pytest
import torch
from fuzz import examples
from fuzz.instances import energies, solvers, states, time_steps
from fuzz.verdicts import OutOfTimeError, refused, seconds
from hypothesis import HealthCheck, assume, event, given, note, settings
from hypothesis import strategies as st

import jko

pytestmark = pytest.mark.fuzz
LIMIT = 10.0  # CPU seconds for one problem; what is slower is no matter of this test
DIGITS = 1e-9
SCHEMES = [None, jko.SDIRK2(), jko.Strang(), jko.BDF2(), jko.ZEG(), jko.Midpoint()]
SMOOTHED = (jko.Sinkhorn,)  # minimise another functional than the energy they report


@st.composite
def problems(draw):
    """Energy, state, time step and solver that need not fit together."""
    state = draw(states())
    return draw(energies(state.dim)), state, draw(time_steps()), draw(solvers(state))


def answered(call):
    """The answer to a call, None where it was refused; ``assume`` drops what takes too long."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            with seconds(LIMIT):
                answer, refusal = refused(call)
        except OutOfTimeError:
            event("slow")
            assume(False)
    assert not heard, f"a warning: {heard[0].message} ({heard[0].filename}:{heard[0].lineno})"
    event("refused" if refusal else "answered")
    return answer


@settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))
@given(problem=problems())
def test_a_step_keeps_its_promises(problem):
    energy, state, tau, solver = problem
    result = answered(lambda: jko.step(energy, state, tau=tau, solver=solver, throw=False))
    if result is None:
        return
    note(f"{result!r}")
    event(f"{type(state).__name__}: {result.status.name}")
    mass_is_kept(result.state)
    if result.status.ok:
        energies_are_those_of_the_states(energy, state, result, tau, solver)
        the_domain_is_kept(result.state)
        the_cost_is_the_distance(state, result)


def mass_is_kept(state):
    weights = state.weights.double()
    assert abs(float(weights.sum()) - 1) < 1e-8
    assert float(weights.min()) >= 0


def energies_are_those_of_the_states(energy, state, result, tau, solver):
    before, now, move = float(energy(state)), result.energy, result.cost / (2 * tau)
    size = max(abs(before), abs(now), move)
    assert math.isfinite(now)
    assert result.cost >= 0
    assert result.residual >= 0
    assert abs(result.slack - (before - now - move)) <= DIGITS * size
    if isinstance(solver, SMOOTHED):
        return
    assert now <= before + DIGITS * abs(before) + 1e-300
    if not isinstance(state, jko.ChargedDensity | jko.ChargedMesh | jko.ChargedSpan):
        assert abs(float(energy(result.state)) - now) <= DIGITS * size
    if isinstance(solver, jko.LBFGS) and solver.tol and result.status is jko.Status.CONVERGED:
        assert result.residual <= solver.tol


def the_domain_is_kept(state):
    mu = state.atoms
    assert bool(torch.isfinite(mu.points).all())
    if mu.domain is not None:
        size = 1 + float(mu.points.abs().max())
        assert float(mu.domain.distance(mu.points).max()) <= DIGITS * size


def the_cost_is_the_distance(state, result):
    """Where the coupling is proved optimal the cost is W2^2, by another program; at its own scale."""
    if type(state) not in (jko.Particles, jko.ChargedParticles) or not result.coupling.optimal:
        return
    x, y = (s.atoms.points.double().numpy() for s in (state, result.state))
    a, b = (s.atoms.weights.double().numpy() for s in (state, result.state))
    size = max(np.abs(x).max(), np.abs(y).max(), 1e-300)
    costs = np.ascontiguousarray((((x[:, None] - y[None]) / size) ** 2).sum(-1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tiny masses, by POT
        expected = ot.emd2(a / a.sum(), b / b.sum(), costs) * size**2
    assert abs(result.cost - expected) <= DIGITS * expected + 1e-12 * size**2


@settings(max_examples=examples(12), suppress_health_check=list(HealthCheck))
@given(problem=problems(), scheme=st.sampled_from(SCHEMES))
def test_a_flow_goes_down(problem, scheme):
    energy, state, tau, solver = problem
    run = answered(
        lambda: jko.flow(energy, state, tau=tau, steps=3, solver=solver, scheme=scheme, throw=False)
    )
    if run is None:
        return
    note(f"{run!r}")
    assert (np.diff(run.times) > 0).all()
    run.at(float(run.times[-1]))
    mass_is_kept(run.final)
    if isinstance(scheme, (type(None), jko.BDF2, jko.ZEG)) and not isinstance(solver, SMOOTHED):
        steps = run.columns.get("modified", np.empty(0))
        E = steps if isinstance(scheme, jko.BDF2) else run.energies
        assert (np.diff(E) <= DIGITS * np.abs(E[:-1]) + 1e-300).all()


QUESTIONS = {
    "certificate": lambda E, a, b, t: jko.step(E, a, tau=t).certificate(),
    "optimality": lambda E, a, b, t: jko.optimality(E, a),
    "dissipation": lambda E, a, b, t: jko.diagnostics.dissipation(E, a),
    "speed": lambda E, a, b, t: jko.diagnostics.speed(E, a),
    "best_particles": lambda E, a, b, t: jko.diagnostics.best_particles(E, a),
    "decomposition": lambda E, a, b, t: jko.diagnostics.decomposition(E, a, b),
    "motion": lambda E, a, b, t: jko.diagnostics.motion(E, a),
    "graph_slope": lambda E, a, b, t: jko.diagnostics.graph_slope(a),
    "fold_free": lambda E, a, b, t: jko.diagnostics.fold_free(E, a, t1=1.0),
    "minimiser": lambda E, a, b, t: jko.minimiser(E, jko.Grid((-2.0, 2.0), 8)),
    "distance": lambda E, a, b, t: jko.distance(a, b),
    "flow_distance": lambda E, a, b, t: jko.metrics.flow_distance(a, b),
    "geodesic": lambda E, a, b, t: jko.geodesic(a, b, 0.3),
    "barycentre": lambda E, a, b, t: jko.metrics.barycentre([a, b], [0.5, 0.5]),
    "squared_gradient": lambda E, a, b, t: jko.metrics.squared_gradient(a, b),
    "projection_loss": lambda E, a, b, t: jko.metrics.projection_loss(a),
    "second order": lambda E, a, b, t: (E.second_order(a.atoms), E.hessian(a.atoms)),
    "limits.wasserstein": lambda E, a, b, t: jko.limits.wasserstein(E, a, t1=min(t, 0.5)),
    "limits.chaos": lambda E, a, b, t: jko.limits.chaos(E, a, t1=min(t, 0.5)),
    "limits.separated": lambda E, a, b, t: jko.limits.separated(E, a, t1=min(t, 0.5)),
    "limits.transported": lambda E, a, b, t: jko.limits.transported(E, a, t1=min(t, 0.5)),
    "limits.sgd": lambda E, a, b, t: jko.limits.sgd(
        E, a, t1=0.3, rate=0.1, batch=1, generator=torch.Generator().manual_seed(0)
    ),
    "limits.langevin": lambda E, a, b, t: jko.limits.langevin(
        E, a, t1=0.3, rate=0.1, generator=torch.Generator().manual_seed(0)
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
@settings(max_examples=examples(4), suppress_health_check=list(HealthCheck))
@given(problem=problems(), other=states())
def test_a_question_is_answered_or_refused_in_a_sentence(question, problem, other):
    energy, state, tau, _ = problem
    answered(lambda: QUESTIONS[question](energy, state, other, tau))
