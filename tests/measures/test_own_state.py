"""A kind of state from outside the package is one class: energies, distances, steps, flows and files know it."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

import jko
from jko import checks
from jko.measures import Particles, State
from jko.metrics import natural_metric
from jko.spaces import Domain, cached


@dataclass(frozen=True, eq=False)
class Twins(State):
    """``1/2 sum_i masses[i] (delta_{half[i]} + delta_{-half[i]})``: neurons that come in pairs."""

    half: Tensor
    masses: Tensor
    domain: Domain | None

    def __init__(self, half, masses=None, domain=None):
        half = checks.shape("half", checks.owned("half", half), ("N", "dim"))
        masses = checks.weights("masses", masses, len(half), half)
        for name, value in (("half", half), ("masses", masses), ("domain", domain)):
            object.__setattr__(self, name, value)

    @property
    def dim(self):
        return self.half.shape[1]

    @cached
    def weights(self):
        return 0.5 * torch.cat([self.masses, self.masses])

    @cached
    def support(self):
        return torch.cat([self.half, -self.half])

    @cached
    def atoms(self):
        return Particles.of(self.support, self.weights, self.domain)

    def placed(self, points):
        return Twins(points[: len(self.half)], self.masses, self.domain)


@dataclass(frozen=True, eq=False)
class Labelled(Particles):
    """Particles that keep a label each, whatever moves them."""

    labels: Tensor

    def __init__(self, points, labels, weights=None, domain=None):
        super().__init__(points, weights, domain)
        object.__setattr__(self, "labels", checks.owned("labels", labels, self.points))


HALF = [[1.0, 2.0], [3.0, -1.0]]
BALL = jko.Ball([0.0, 0.0], 9.0)
STATES = {
    "twins": lambda shift: Twins(torch.tensor(HALF).double() + shift, [0.25, 0.75], BALL),
    "labelled": lambda shift: Labelled(torch.tensor(HALF).double() + shift, [7.0, 5.0]),
}
E = jko.SquaredNorm() + 0.5 * jko.Interaction(lambda z: (-(z**2).sum(-1)).exp())


@pytest.fixture(params=STATES)
def make(request):
    return STATES[request.param]


def test_it_integrates_and_energies_read_its_atoms(make):
    state = make(0.0)
    assert float(state.mass) == 1.0
    assert torch.equal(state.integrate(state.support), state.mean())
    assert float(E(state)) == float(E(state.to_particles()))
    assert torch.equal(E.gradient(state), E.gradient(state.atoms))
    with pytest.raises(TypeError, match=r"is \+inf: atoms have no density"):
        jko.Entropy()(state)


def test_it_has_a_natural_metric_and_a_distance(make):
    a, b = make(0.0), make(0.25)
    assert natural_metric(a) == jko.Wasserstein()
    found = jko.distance(a, b)
    assert found.exact
    assert found.value == jko.distance(a.to_particles(), b.to_particles()).value > 0
    with pytest.raises(TypeError, match="no distance between two kinds"):
        jko.distance(a, jko.ChargedParticles([[0.0]], [1.0]))


def test_a_step_is_that_of_its_atoms_and_of_its_kind(make):
    state = make(0.0)
    tight = jko.LBFGS(tol=1e-10)
    result = jko.step(E, state, tau=0.1, solver=tight)
    assert type(result.state) is type(state)
    plain = jko.step(E, state.to_particles(), tau=0.1, solver=tight).state
    assert (result.state.support - plain.points).abs().max() < 1e-9
    assert jko.step(E, state, tau=0.1).status.ok  # by its natural solver


def test_a_flow_of_it_is_saved_and_loaded(make, tmp_path):
    run = jko.flow(E, make(0.0), tau=0.1, steps=3, checkpoint=tmp_path / "run.npz")
    again = jko.Trajectory.load(run.save(tmp_path / "whole.npz"))
    for loaded in (again, jko.Trajectory.load(tmp_path / "run.npz")):
        for one, other in zip(run.states, loaded.states, strict=True):
            assert type(other) is type(one)
            assert torch.equal(other.support, one.support)
            assert torch.equal(other.weights, one.weights)
            assert type(other.domain) is type(one.domain)
    half_way = run.at(0.05)
    assert type(half_way) is type(run.final)
    assert torch.equal(half_way.weights, run.states[0].weights)


def test_labels_go_where_their_atoms_go(tmp_path):
    run = jko.flow(E, STATES["labelled"](0.0), tau=0.1, steps=2)
    assert run.final.labels.tolist() == [7.0, 5.0]
    back = jko.Trajectory.load(run.save(tmp_path / "run.npz"))
    assert back.final.labels.tolist() == [7.0, 5.0]


def test_a_metric_and_a_solver_of_its_own_are_registered_for_the_class():
    class Heavy(Labelled):
        pass

    @natural_metric.register
    def _(state: Heavy) -> jko.Metric:
        return jko.GraphWasserstein()

    heavy = Heavy(HALF, [1.0, 2.0])
    assert natural_metric(heavy) == jko.GraphWasserstein()
    assert natural_metric(STATES["labelled"](0.0)) == jko.Wasserstein()


def test_a_sentence_names_the_kinds_there_are_this_one_too():
    with pytest.raises(TypeError, match=r"the state must be Particles or .*Twins.*, not list"):
        jko.SquaredNorm()([[1.0]])


def test_what_a_file_cannot_hold_is_said_when_it_is_saved(tmp_path):
    @dataclass(frozen=True, eq=False)
    class Named(Particles):
        name: str

        def __init__(self, points, name, weights=None, domain=None):
            super().__init__(points, weights, domain)
            object.__setattr__(self, "name", name)

    run = jko.flow(E, Named(HALF, "a"), tau=0.1, steps=1)
    assert run.final.name == "a"
    with pytest.raises(TypeError, match="the field name of Named is a str; a file holds tensors"):
        run.save(tmp_path / "run.npz")


def test_what_has_no_atoms_to_place_or_masses_to_change_says_so():
    rho = jko.GridDensity(jko.Grid((0.0, 1.0), 2), [1.0, 1.0])
    with pytest.raises(TypeError, match="a GridDensity has no atoms to place"):
        rho.placed(rho.support)
    assert rho.weighed(torch.tensor([0.25, 0.75])).values.tolist() == [0.5, 1.5]
    with pytest.raises(TypeError, match="a Twins keeps its masses"):
        STATES["twins"](0.0).weighed(torch.ones(4))


@pytest.mark.parametrize("name", ["lifted", "placed", "KINDS", "PAIRS", "Atoms"])
def test_old_names_of_measures_work_for_one_version_and_warn(name):
    mu = jko.Particles(HALF)
    with pytest.warns(DeprecationWarning, match=rf"measures\.{name} is now"):
        old = getattr(jko.measures, name)
    if name == "lifted":
        assert old(mu) is mu.atoms
        with pytest.raises(TypeError, match="the state must be Particles"):
            old(HALF)
    if name == "placed":
        assert old(mu, 2 * mu.points).points.tolist() == (2 * mu.points).tolist()
    if name == "KINDS":
        assert isinstance(mu, old)
