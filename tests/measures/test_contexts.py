"""States, spaces and closed forms: the same under any global setting of torch and numpy, their own, and portable."""

import copy
import multiprocessing
import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch
from modes import default_dtype

import jko
from jko import exact


def square(z):
    return (z * z).sum(-1)


def first(z):
    return z[:, 0]


def box():
    return jko.Box([-9.0, -9.0], [9.0, float("inf")])


def data():
    return jko.Data([[0.0], [1.0]], [1.0, -1.0])


def grid():
    return jko.Grid((0.0, 1.0), 4)


STATES = {
    "Particles": lambda: jko.Particles([[0.0, 1.0], [1.0, 0.0]], [0.25, 0.75], box()),
    "Particles.normal": lambda: jko.Particles.normal(3, 2, generator=seed()),
    "Particles.uniform": lambda: jko.Particles.uniform(3, jko.Box(0.0, 1.0), generator=seed()),
    "ChargedParticles": lambda: jko.ChargedParticles([[0.0], [1.0]], [0.5, -0.5]),
    "GridDensity": lambda: jko.GridDensity.from_function(grid(), lambda x: 1 + x[:, 0]),
    "LineMesh": lambda: jko.LineMesh([0.0, 0.5, 2.0], [0.5, 0.5], jko.Box(0.0, 2.0)),
    "LineMesh.from_density": lambda: jko.LineMesh.from_density(STATES["GridDensity"]()),
    "LineMesh.to_density": lambda: jko.LineMesh([0.0, 1.0], [1.0]).to_density(grid()),
    "ChargedDensity": lambda: jko.ChargedDensity.from_function(
        grid(), lambda x: 1 + x[:, 0], first
    ),
    "ChargedDensity.from_particles": lambda: jko.ChargedDensity.from_particles(
        grid(), jko.ChargedParticles([[0.25], [0.5]], [1.0, 2.0])
    ),
    "ChargedMesh": lambda: jko.ChargedMesh([0.0, 0.5, 2.0], [1.0, 0.0, 1.0], [0.5, 0.5]),
    "ChargedMesh.from_function": lambda: jko.ChargedMesh.from_function(
        lambda x: (-square(x)).exp(), first, (-2.0, 2.0), 5
    ),
    "ChargedMesh.from_density": lambda: jko.ChargedMesh.from_density(STATES["ChargedDensity"]()),
    "ChargedSpan": lambda: jko.ChargedSpan(
        jko.Particles([[0.0, 1.0], [2.0, 0.0]]), first, jko.Ridge(torch.tanh), [[0.0], [1.0]]
    ),
}


def seed():
    return torch.Generator().manual_seed(0)


def tensors(state):
    """Every tensor that a state shows, its derived ones too."""
    atoms = state.atoms
    found = [atoms.points, atoms.weights, state.support, state.weights]
    found += [getattr(state, name) for name in ("volumes", "values") if hasattr(state, name)]
    if hasattr(state, "grid"):
        found += [state.grid.centres, *state.grid.axes, *state.grid.faces]
    return found


CONTEXTS = {
    "another device": lambda: torch.device("meta"),
    "another dtype": lambda: default_dtype(torch.float16),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "numpy raises": lambda: np.errstate(all="raise"),
}


@pytest.mark.parametrize("context", CONTEXTS)
@pytest.mark.parametrize("kind", STATES)
def test_a_state_is_the_same_in_every_context(kind, context):
    outside = tensors(STATES[kind]())
    with CONTEXTS[context]():
        inside = tensors(STATES[kind]())
    for a, b in zip(outside, inside, strict=True):
        assert (b.dtype, b.device) == (torch.float64, torch.device("cpu"))
        assert not b.is_inference()
        assert not b.requires_grad
        assert torch.equal(a, b)


@pytest.mark.parametrize("context", CONTEXTS)
def test_projections_and_closed_forms_are_the_same_in_every_context(context):
    points = torch.tensor([[3.0, -4.0], [0.1, 0.2]], dtype=torch.float64)
    domains = (jko.Ball([0.0, 0.0], 1.0), box(), jko.spaces.Cylinder(jko.Box(0.0, 1.0)))

    def everything():
        yield from (d.project(points).tolist() for d in domains)
        yield from (d.distance(points).tolist() for d in domains)
        yield exact.quadratic_flow([1.0, 2.0], a=1e3, c=0.0, t=3.0).tolist()  # underflows
        yield exact.gaussian([[0.0], [100.0]], [0.0], [[1.0]]).tolist()
        yield exact.barenblatt([[0.0], [2.0]], R=1.0).tolist()
        yield exact.network_rest(s2=0.8, target=1.5, lam=1.0, beta=0.3).covariance.tolist()

    outside = list(everything())
    with CONTEXTS[context]():
        assert list(everything()) == outside


OWNERS = {
    "Particles": lambda x, w: jko.Particles(x, w),
    "ChargedParticles": lambda x, w: jko.ChargedParticles(x, w, w),
    "GridDensity": lambda x, w: jko.GridDensity(jko.Grid((0.0, 2.0), 2), w),
    "ChargedDensity": lambda x, w: jko.ChargedDensity(jko.Grid((0.0, 2.0), 2), w, x[:, 0]),
    "LineMesh": lambda x, w: jko.LineMesh(torch.cat([x[:, 0], x[:1, 0] + 9]), w),
    "ChargedMesh": lambda x, w: jko.ChargedMesh(x[:, 0], x[:, 0], w[:1] * 2, w),
    "Data": lambda x, w: jko.Data(x, x[:, 0], w),
    "Ball": lambda x, w: jko.Ball(w, 1.0),
    "Box": lambda x, w: jko.Box(w - 1.0, w),
    "Conic": lambda x, w: jko.Conic(support=x),
}


@pytest.mark.parametrize("as_numpy", [False, True])
@pytest.mark.parametrize("name", OWNERS)
def test_what_is_built_owns_its_arrays(name, as_numpy):
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    w = torch.tensor([0.5, 0.5], dtype=torch.float64)
    recorded = not as_numpy and name not in ("Ball", "Box", "Conic")
    built = OWNERS[name](x.requires_grad_(recorded), w.requires_grad_(recorded))
    seen = [t for t in vars(built).values() if isinstance(t, torch.Tensor)]
    before = [t.tolist() for t in seen]
    with torch.no_grad():
        x += 5
        w += 5
    assert [t.tolist() for t in seen] == before
    assert all(t.requires_grad for t in seen) == recorded


@pytest.mark.parametrize("name", ["Ball", "Box", "Conic"])
def test_what_no_derivative_is_known_in_refuses_a_record(name):
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)
    with pytest.raises(ValueError, match=r"requires a gradient.*detach\(\)"):
        OWNERS[name](x, x[:, 0])


@pytest.mark.parametrize("name", OWNERS)
def test_inference_tensors_become_ordinary_ones(name):
    with torch.inference_mode():
        x = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
        built = OWNERS[name](x, torch.tensor([0.5, 0.5], dtype=torch.float64))
    assert not any(t.is_inference() for t in vars(built).values() if isinstance(t, torch.Tensor))


TRAVELLERS = {
    **{name: make for name, make in STATES.items() if name != "ChargedSpan"},
    "energy": lambda: 2 * jko.Potential(square) + jko.Interaction(square) + jko.SquaredNorm(),
    "risk": lambda: jko.Risk(data(), jko.Ridge(torch.tanh)) + 0.1 * jko.Entropy(),
    "Data": data,
    "Box": box,
    "Ball": lambda: jko.Ball([0.0], 1.0),
    "Cylinder": lambda: jko.spaces.Cylinder(jko.spaces.Convex(square)),
    "Grid": grid,
}


@pytest.mark.parametrize("name", TRAVELLERS)
def test_what_is_built_can_be_copied_and_pickled(name):
    made = TRAVELLERS[name]()
    repr(made.atoms if hasattr(made, "atoms") else made)  # with what is cached
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert type(again) is type(made)
        assert repr(again) == repr(made)
        for key, value in vars(made).items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(vars(again)[key].nan_to_num(7.0), value.nan_to_num(7.0))


def work(mu):
    return jko.step(jko.Potential(square), mu, tau=0.25).state


def test_states_cross_a_process_pool():
    mu = jko.Particles([[1.0, 2.0]], domain=box())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        assert torch.equal(pool.submit(work, mu).result(timeout=300).points, work(mu).points)


def test_building_states_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jko.Particles(np.float32([[0.1]]))
        jko.Particles(np.array([[1.0]])[::-1])
        frozen = np.array([[1.0]])
        frozen.flags.writeable = False
        jko.Particles(frozen)
        jko.step(
            jko.SquaredNorm(), jko.Particles([[1.0]]), tau=torch.tensor(1.0, requires_grad=True)
        )
