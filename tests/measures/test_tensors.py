"""States, data and energies as tensors: converted as a whole, and part of torch's record."""

import warnings

import pytest
import torch
from registry import DATA, STATES, risk
from torch import Tensor

import jko
from jko.measures.tensors import OfTensors

F32, F64 = torch.float32, torch.float64
SAMPLES = torch.tensor([[0.1, 2.0, 0.3], [-1.0, 0.2, 0.5]], dtype=F64)
CLASSES = jko.Data(DATA.x, DATA.f.sign())


def tensors(thing) -> list[Tensor]:
    """All the numbers that it is made of; labels are none."""
    found = []

    def see(part):
        if isinstance(part, OfTensors):
            return part._each(see)
        if part.is_floating_point():
            found.append(part)
        return part

    thing._each(see)
    return found


def recorded(state):
    """The same state, built from leaves that require gradients; and these."""
    leaves = []

    def leaf(part):
        if isinstance(part, OfTensors):
            return type(part)(**part._each(leaf)._attributes())
        if not part.is_floating_point():
            return part
        leaves.append(part.clone().requires_grad_())
        return leaves[-1]

    return type(state)(**state._each(leaf)._attributes()), leaves


@pytest.fixture(params=STATES, ids=lambda kind: kind.__name__)
def state(request):
    return STATES[request.param]()


def test_there_and_back_it_is_the_same_state(state):
    short = state.to(F32)
    assert type(short) is type(state)
    assert all(t.dtype == F32 for t in tensors(short))
    assert short.dtype == F32
    assert short.domain is state.domain
    back = short.to(torch.zeros(1, dtype=F64))
    assert all(t.dtype == F64 for t in tensors(back))
    assert abs(float(back.mass) - 1) < 1e-14
    assert torch.allclose(back.atoms.points, state.atoms.points, atol=1e-6)
    assert float(jko.metrics.natural_metric(state).distance(back, state)) < 1e-3


def test_nothing_is_made_where_nothing_changes(state):
    assert state.to("cpu") is state.cpu() is state.double() is state.to(device="cpu", dtype=F64)
    assert state.to(torch.zeros(3, dtype=F64)) is state.detach() is state
    assert state.to("cpu", F32).dtype is state.float().dtype is F32


def test_what_holds_no_numbers_is_refused_and_torch_says_what_device_there_is_not(state):
    with pytest.raises(TypeError, match="'meta', which holds no numbers"):
        state.to("meta")
    with pytest.raises(TypeError, match=r"dtype torch\.float16"):
        state.to(torch.float16)
    with pytest.raises(TypeError, match=r"dtype torch\.int64"):
        state.to(torch.int64)
    with pytest.raises(RuntimeError):
        state.to("nowhere")
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
            state.cuda()


def test_what_falls_together_in_float32_is_refused():
    mesh = jko.LineMesh([0.0, 1.0, 1.0 + 1e-9], [0.5, 0.5])
    with pytest.raises(ValueError, match="edges must increase"):
        mesh.float()


def test_energies_go_with_their_data():
    state = STATES[jko.Particles]()
    E = jko.Risk(DATA, activation=lambda theta, x: (theta @ x.T).tanh()) + 0.1 * jko.SquaredNorm()
    short = E.float()
    assert short.terms[0][1].data.dtype == F32
    assert short.double().terms[0][1].data.x.dtype == F64
    assert float(short(state.float())) == pytest.approx(float(E(state)), rel=1e-5)
    assert E.to("cpu") is E.detach() is E
    assert DATA.float().device == torch.device("cpu")


def test_gradients_reach_what_a_state_was_built_from(state):
    mine, leaves = recorded(state)
    assert mine.requires_grad
    assert not mine.detach().requires_grad
    with torch.no_grad():
        mine.atoms  # noqa: B018 (what was asked for without a record must not stay)
    E = jko.Potential(lambda z: (z**3).sum(-1))
    for _ in range(2):  # nothing of the first is left behind
        (E(mine) + E(mine)).backward()
    found = [leaf.grad for leaf in leaves]
    assert any(g is not None and bool((g != 0).any()) for g in found)
    for part in (mine.to(F32), mine.to_particles(), mine.atoms):
        assert part.requires_grad


@pytest.mark.parametrize(
    "energy",
    [
        risk(),
        jko.Risk(CLASSES, activation=jko.Ridge(torch.tanh), loss=jko.Logistic()),
        jko.SquaredNorm() + 0.3 * jko.Interaction(lambda z: (-(z**2).sum(-1)).exp()),
        jko.KernelEntropy(0.7),
        jko.energies.KernelPorousMedium(0.7, 3.0),
        jko.energies.OnTheta(jko.KernelEntropy(0.7)),
        jko.Discrepancy(SAMPLES, jko.targets.GaussianKernel(1.3)),
        jko.Discrepancy(SAMPLES),
    ],
    ids=lambda energy: type(energy).__name__,
)
def test_value_variation_and_gradient_are_differentiable_in_points_and_weights(energy):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(5, 3, dtype=F64, generator=generator).requires_grad_()
    s = torch.randn(5, dtype=F64, generator=generator).requires_grad_()

    def state(x, s):
        return jko.Particles(x, s.softmax(0))

    for door in (energy, energy.variation, energy.gradient):
        assert torch.autograd.gradcheck(lambda x, s, door=door: door(state(x, s)), (x, s))
    equal = torch.full((5,), 0.2, dtype=F64, requires_grad=True)
    jko.SquaredNorm()(jko.Particles(x, equal)).backward()
    assert torch.allclose(equal.grad, 0.5 * x.detach().square().sum(1))


def test_the_record_of_data_and_of_densities_is_kept():
    mu = jko.Particles.normal(4, 3, generator=torch.Generator().manual_seed(0))
    x, f, q = DATA.x.clone(), DATA.f.clone(), DATA.weights.clone()

    def value(x, f, q):
        return jko.Risk(jko.Data(x, f, q), activation=jko.Ridge(torch.tanh))(mu)

    leaves = [t.requires_grad_() for t in (x, f, q)]
    assert torch.autograd.gradcheck(value, leaves)
    grid = jko.Grid((-2.0, 2.0), 8)

    def heat(width):
        bump = jko.GridDensity.from_function(grid, lambda x: (-((x[:, 0] / width) ** 2)).exp())
        return jko.Entropy()(bump)

    assert torch.autograd.gradcheck(heat, torch.tensor(1.3, dtype=F64, requires_grad=True))


def test_steps_and_files_leave_no_record(state, tmp_path):
    mine, _ = recorded(state)
    c = torch.zeros(state.dim, dtype=F64, requires_grad=True)
    pull = jko.Potential(lambda z: ((z - c) ** 2).sum(-1))
    E = jko.SquaredNorm() if isinstance(state, jko.ChargedSpan) else pull
    E = E + jko.Entropy() if isinstance(state, jko.GridDensity) else E
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = jko.flow(E, mine, tau=0.1, steps=1)
        plain = jko.flow(E, state, tau=0.1, steps=1)
        path = jko.Trajectory(run.times, run.energies, (mine, mine), run.kept).save(tmp_path / "a")
        again = jko.distance(mine, state)
        repr(mine)
    assert not any(t.requires_grad for s in run.states for t in tensors(s))
    assert not any(t.requires_grad for t in run.memory.values())
    assert torch.equal(run.final.atoms.points, plain.final.atoms.points)
    assert run.energies.tolist() == plain.energies.tolist()
    assert float(again) <= 1e-7
    like = state if isinstance(state, jko.ChargedSpan) else None
    assert not jko.Trajectory.load(path, like=like).final.requires_grad


def test_what_a_function_reads_is_recorded_too():
    """The parameters of an activation of one's own, and of a network with two layers' atoms."""
    mu = jko.Particles.normal(4, 2, generator=torch.Generator().manual_seed(0))
    at = mu.points + 1.0

    def doors(a):
        E = jko.Risk(DATA, activation=lambda theta, x: (a * theta @ x.T).tanh())
        V = jko.Potential(lambda z: (a * z).square().sum(-1))
        return E(mu), E.predict(mu), E.variation(mu), E.variation(mu, at), V(mu), V.variation(mu)

    assert torch.autograd.gradcheck(doors, torch.tensor(0.7, dtype=F64, requires_grad=True))
    E = jko.energies.TwoLayerRisk(DATA, N2=2)
    points = torch.randn(4, 5, dtype=F64, generator=torch.Generator().manual_seed(1))

    def layers(p):
        nu = jko.Particles(torch.cat([p[:, :3], p[:1, 3:].expand(4, 2)], dim=1))
        return E(nu), E.variation(nu), E.gradient(nu)

    assert torch.autograd.gradcheck(layers, points.requires_grad_())


def test_targets_are_differentiable_in_their_samples():
    mu = jko.Particles.normal(5, 3, generator=torch.Generator().manual_seed(2))
    y = SAMPLES.clone().requires_grad_()

    def doors(y):
        E = jko.Discrepancy(y, jko.targets.InverseMultiquadric(1.0))
        return E(mu), E.gradient(mu), jko.Attraction(y)(mu)

    assert torch.autograd.gradcheck(doors, y)
    step = jko.step(jko.Discrepancy(y), mu, tau=0.1)
    assert torch.equal(
        step.state.points, jko.step(jko.Discrepancy(SAMPLES), mu, tau=0.1).state.points
    )
    assert jko.Discrepancy(y).float().samples.dtype == F32
