"""A memory is believed where it belongs and nowhere else: no energy is reported that is not the state's."""

import numpy as np
import pytest
import torch

import jko


def normal(seed: int, N: int = 4, dim: int = 2) -> jko.Particles:
    return jko.Particles.normal(N, dim, generator=torch.Generator().manual_seed(seed))


P = jko.Potential(lambda x: x.square().sum(-1))
MEMORIES = {
    "another state": lambda mu: jko.step(P, normal(7), tau=0.5).memory,
    "another energy": lambda mu: jko.step(5 * P, mu, tau=0.5).memory,
    "the state before": lambda mu: jko.step(P, mu, tau=0.5).memory,
    "another number of atoms": lambda mu: jko.step(P, normal(1, N=3), tau=0.5).memory,
    "a gradient of zeros": lambda mu: tampered(mu, "gradient", 0.0),
    "a variation of zeros": lambda mu: tampered(mu, "variation", 0.0),
    "half the value": lambda mu: tampered(mu, "value", 0.5),
    "a value alone": lambda mu: {"value": torch.tensor(0.0, dtype=torch.float64)},
    "no value": lambda mu: {k: t for k, t in tampered(mu, "value", 1.0).items() if k != "value"},
}


def tampered(mu: jko.Particles, name: str, factor: float) -> dict:
    """The right evaluation at mu, one part of it changed."""
    memory = P.evaluate(mu)._asdict()
    return memory | {name: factor * memory[name]}


@pytest.mark.parametrize("solver", [jko.LBFGS(tol=1e-10), jko.BlockNewton(), jko.LBFGS()])
@pytest.mark.parametrize("name", MEMORIES)
def test_a_step_is_the_same_with_a_memory_of_another(name, solver):
    mu = normal(0)
    alone = jko.step(P, mu, tau=0.5, solver=solver)
    result = jko.step(P, mu, tau=0.5, solver=solver, memory=MEMORIES[name](mu))
    assert torch.equal(result.state.points, alone.state.points)
    assert (result.energy, result.slack) == (alone.energy, alone.slack)


def test_a_memory_of_its_own_state_and_energy_saves_nothing_but_work():
    mu = normal(0)
    first = jko.step(P, mu, tau=0.5)
    second = jko.step(P, first.state, tau=0.5, memory=first.memory)
    assert second.energy == pytest.approx(float(P(second.state)), rel=1e-14)
    assert second.evaluations <= jko.step(P, first.state, tau=0.5).evaluations


@pytest.mark.parametrize("value", [0.0, -3.0])
def test_a_mesh_does_not_believe_the_value_of_another(value):
    mesh = jko.LineMesh(torch.linspace(-1, 2, 7, dtype=torch.float64), [1 / 6] * 6)
    first = jko.step(P, mesh, tau=0.5)
    memory = first.memory | {"value": torch.tensor(value, dtype=torch.float64)}
    right, wrong = (jko.step(P, first.state, tau=0.5, memory=m) for m in (None, memory))
    assert wrong.before == pytest.approx(right.before, rel=1e-14)
    assert wrong.energy == pytest.approx(right.energy, rel=1e-9)


@pytest.mark.parametrize("memory", [[1], 5, {"gradient": 1.0}, {1: torch.zeros(2)}, "x"])
def test_a_memory_that_is_none_is_refused(memory):
    with pytest.raises(TypeError, match=r"memory must be the \.memory of a step's result"):
        jko.step(P, normal(0), tau=0.5, memory=memory)


@pytest.mark.parametrize("other", [5 * P, P + 0.1 * jko.SquaredNorm(), 1.001 * P])
def test_a_flow_continues_no_run_of_another_energy(other):
    run = jko.flow(P, normal(0), tau=0.5, steps=3)
    with pytest.raises(ValueError, match=r"of another energy.*start from its \.final"):
        jko.flow(other, run, tau=0.5, steps=5)
    assert len(jko.flow(other, run.final, tau=0.5, steps=2).times) == 3


def test_a_file_is_not_believed(tmp_path):
    """Its gradient zeroed: the flow goes on as if nothing had been there. Its states swapped: refused."""
    run = jko.flow(P, normal(0), tau=0.5, steps=3)
    whole = jko.flow(P, run, tau=0.5, steps=5)
    arrays = dict(np.load(run.save(tmp_path / "run.npz")))
    for name in ("gradient", "variation", "value"):
        changed = run.memory | {name: 0 * run.memory[name]}
        tampered = jko.Trajectory(**{**vars(run), "memory": changed})
        again = jko.flow(P, tampered, tau=0.5, steps=5)
        assert torch.allclose(again.final.points, whole.final.points, rtol=0.1, atol=0)
        assert again.energies[-1] == pytest.approx(float(P(again.final)), rel=1e-13)
    swapped = jko.Trajectory(**{**vars(run), "states": run.states[::-1]})
    with pytest.raises(ValueError, match="its states were changed"):
        jko.flow(P, swapped, tau=0.5, steps=5)
    assert "memory/gradient" in arrays


def grid() -> jko.GridDensity:
    return jko.GridDensity.from_function(
        jko.Grid((-2.0, 2.0), 24), lambda z: (-(z[:, 0] ** 2)).exp()
    )


@pytest.mark.parametrize("solver", [jko.Dynamic(), jko.Sinkhorn(0.05), jko.Conic()])
def test_an_energy_that_reads_what_has_changed_gets_its_own_step(solver):
    """Two steps of one energy object, whose closure moves between them."""
    at = [0.0]
    E = jko.Potential(lambda z: (z[:, 0] - at[0]) ** 2) + 0.1 * jko.Entropy()
    jko.step(E, grid(), tau=0.1, solver=solver)
    at[0] = 1.0
    second = jko.step(E, grid(), tau=0.1, solver=solver)
    fresh = jko.Potential(lambda z: (z[:, 0] - 1.0) ** 2) + 0.1 * jko.Entropy()
    assert torch.equal(
        second.state.values, jko.step(fresh, grid(), tau=0.1, solver=solver).state.values
    )
    assert second.energy == pytest.approx(float(E(second.state)), rel=1e-6)


def changing(kind: str):
    """A flow's options under which the centre of the energy moves after step 2, and that centre."""
    at = [0.0]

    def move(k):
        at[0] = 1.0 if k >= 2 else 0.0

    if kind == "an observer":
        return {"tau": 0.1, "observers": [lambda k, t, result: move(k)]}, at
    return {"tau": lambda k: move(k) or 0.1}, at


@pytest.mark.parametrize("state", [normal(3), normal(3).project(), grid()])
@pytest.mark.parametrize("kind", ["an observer", "tau"])
def test_an_energy_that_changes_while_the_flow_runs_is_refused(kind, state):
    options, at = changing(kind)
    E = jko.Potential(lambda z: (z[:, 0] - at[0]) ** 2)
    E = E + 0.1 * jko.Entropy() if isinstance(state, jko.GridDensity) else E
    with pytest.raises(ValueError, match="the energy changed while the flow ran") as caught:
        jko.flow(E, state, steps=6, **options)
    run = caught.value.trajectory
    assert run.status is jko.Status.ERROR
    assert 2 <= len(run.times) - 1 <= 3
    at[0] = 0.0  # what the ledger holds is of the energy that it began with
    for k, kept in zip(run.kept, run.states, strict=True):
        assert run.energies[k] == pytest.approx(float(E(kept)), rel=1e-6)


def test_a_change_that_the_value_does_not_show_is_seen_in_the_gradient():
    """V = a x on two atoms at -1 and 1: E = 0 whatever a is."""
    slope = [1.0]
    E = jko.Potential(lambda z: slope[0] * z[:, 0])
    start = jko.Particles([[-1.0], [1.0]])
    first = jko.step(E, start, tau=1e-9)
    slope[0] = -2.0
    result = jko.step(E, first.state, tau=0.5, memory=first.memory)
    assert result.state.points[:, 0].tolist() == pytest.approx([0.0, 2.0], abs=1e-6)


def test_data_changed_in_place_is_seen():
    data = jko.Data([[0.0], [1.0]], [0.5, -0.5])
    E = jko.Risk(data, activation=jko.Ridge(torch.tanh))

    def noise(k, t, result):
        if k == 2:
            data.f.add_(1.0)

    with pytest.raises(ValueError, match="the energy changed"):
        jko.flow(E, normal(0, dim=3), tau=0.5, steps=5, observers=[noise])


def test_observers_that_change_nothing_change_no_bits_and_cost_no_evaluation():
    data = jko.Data([[0.0], [1.0]], [0.5, -0.5])
    E = jko.Risk(data, activation=jko.Ridge(torch.tanh))
    calls = []
    alone = jko.flow(E, normal(0, dim=3), tau=0.5, steps=5)
    seen = jko.flow(E, normal(0, dim=3), tau=0.5, steps=5, observers=[lambda *a: calls.append(a)])
    assert torch.equal(alone.final.points, seen.final.points)
    assert np.array_equal(alone.columns["evaluations"], seen.columns["evaluations"])
    mine = jko.Potential(lambda z: z.square().sum(-1))  # may read anything: looked at again
    alone = jko.flow(mine, normal(0), tau=0.5, steps=5)
    seen = jko.flow(mine, normal(0), tau=0.5, steps=5, observers=[lambda *a: None])
    assert torch.equal(alone.final.points, seen.final.points)
