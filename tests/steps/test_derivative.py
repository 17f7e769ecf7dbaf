"""The derivative of a step: closed forms, and differences of steps."""

from functools import partial

import pytest
import torch

import jko
from jko.derivatives import generic
from jko.metrics import ScaledWasserstein, SinkhornDivergence
from jko.spaces import Domain
from jko.steps import differentiable_step

F64 = torch.float64
gradcheck = partial(torch.autograd.gradcheck, fast_mode=True)
EXACT = jko.BlockNewton(tol=1e-13)


def leaves(*shapes: tuple[int, ...], turn: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(turn)
    made = [torch.randn(shape, dtype=F64, generator=generator) for shape in shapes]
    return [one.requires_grad_() for one in made]


def pulled(c: torch.Tensor) -> jko.Energy:
    return jko.Potential(lambda z: 0.5 * (z - c).square().sum(-1))


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_quadratic_potential_in_closed_form(dim, pairs):
    """``T = (y + tau c) / (1 + tau)`` and the value ``int |y - c|^2 dmu / (2 (1 + tau))``."""
    y, c, s, tau = leaves((4, dim + pairs), (dim + pairs,), (4,), (), turn=dim)
    w = leaves((4, dim + pairs), turn=7)[0].detach()

    def both(y, c, s, tau, how):
        m, h = s.softmax(0), tau.exp()
        if how == "closed form":
            T, value = (y + h * c) / (1 + h), m @ (y - c).square().sum(1) / (2 + 2 * h)
        else:
            parts = (y[:, 1:], y[:, 0], m) if pairs else (y, m)
            mu = (jko.ChargedParticles if pairs else jko.Particles)(*parts)
            step = differentiable_step(pulled(c), mu, tau=h)
            assert type(step.state) is type(mu)
            T, value = step.state.atoms.points, step.value
        return [T.detach(), value.detach()], torch.autograd.grad(
            (T * w).sum() + value * 3, (y, c, s, tau), allow_unused=True
        )

    for mine, theirs in zip(
        both(y, c, s, tau, "step"), both(y, c, s, tau, "closed form"), strict=True
    ):
        for a, b in zip(mine, theirs, strict=True):
            assert torch.allclose(a, b, atol=1e-10)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_network_in_its_data_weights_base_point_and_tau(outputs):
    shape = (5,) if outputs == 1 else (5, outputs)
    x, f, q, y, s, tau = leaves((5, 2), shape, (5,), (4, outputs + 3), (4,), ())

    def step(x, f, q, y, s, tau):
        data = jko.Data(x, f, q.exp())
        E = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 0.2 * jko.SquaredNorm()
        mu = jko.Particles(y, s.softmax(0))
        found = differentiable_step(E, mu, tau=(0.3 * tau).exp(), solver=EXACT)
        return found.value, found.state.points

    assert gradcheck(step, (x, f, q, y, s, tau), atol=1e-6)


def bumps(z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    return (c * z).sum(-1).cos() + 0.1 * (z - c).square().sum(-1)


ENERGIES = {
    "bumps": lambda c: jko.Potential(lambda z: bumps(z, c)),
    "interaction": lambda c: (
        jko.Interaction(lambda z: (-(c[0] * z).square().sum(-1)).exp()) + 0.3 * jko.SquaredNorm()
    ),
    "entropy": lambda c: 0.5 * jko.KernelEntropy(0.8) + jko.Potential(lambda z: bumps(z, c)),
    "logistic": lambda c: jko.Risk(
        jko.Data([[-1.0], [0.5], [1.0]], [-1.0, 1.0, -1.0]),
        features=lambda z, x: (z[:, :1] + c[1] * z[:, 1:] * x.T).tanh(),
        loss=jko.Logistic(),
    ),
}


@pytest.mark.parametrize("name", ENERGIES)
def test_several_steps_in_parameters_of_every_energy(name):
    c, y = leaves((2,), (4, 2), turn=3)

    def end(c, y):
        state = jko.ChargedParticles(y[:, 1:], y[:, 0], [0.1, 0.2, 0.3, 0.4])
        total = 0.0
        for k in range(3):
            found = differentiable_step(ENERGIES[name](c), state, tau=0.2 + 0.1 * k, solver=EXACT)
            state, total = found.state, total + found.value
        return total, state.theta, state.H

    assert gradcheck(end, (c, y), atol=1e-6)


@pytest.mark.parametrize("domain", [jko.Box([-0.5, -0.4], [0.6, 2.0]), jko.Ball([0.0, 0.0], 0.8)])
def test_atoms_on_the_wall_stay_there(domain: Domain):
    c, y = leaves((2,), (6, 2), turn=5)

    def end(c, y):
        mu = jko.Particles(domain.project(y), domain=domain)
        E = pulled(c + 2) + jko.Interaction(lambda z: (-z.square().sum(-1)).exp())
        found = differentiable_step(E, mu, tau=0.3, solver=EXACT)
        assert found.result.state.domain is domain
        return found.value, found.state.points

    points = end(c, y)[1].detach()
    wall = (domain.project(1.001 * points + 1e-3) != 1.001 * points + 1e-3).any(1)
    assert int(wall.sum()) > 0
    assert gradcheck(end, (c, y), atol=1e-6)


def test_a_scaled_metric():
    c, y = leaves((3,), (4, 3))

    def end(c, y):
        E = jko.Potential(lambda z: bumps(z, c))
        metric = ScaledWasserstein([0.5, 2.0, 3.0])
        found = differentiable_step(E, jko.Particles(y), tau=0.3, metric=metric, solver=EXACT)
        return found.value, found.state.points

    assert gradcheck(end, (c, y), atol=1e-6)


def test_a_block_of_negative_curvature_beside_a_convex_rest():
    """``1 - 1.5 tau < 0`` for the block alone, and positive with the risk."""
    (f,) = leaves((1,))

    def end(f):
        risk = jko.Risk(jko.Data([[2.0]], f), features=lambda z, x: z @ x.T)
        E = risk + jko.Potential(lambda z: -0.75 * z.square().sum(-1))
        return differentiable_step(E, jko.Particles([[0.3]]), tau=1.0, solver=EXACT).state.points

    assert gradcheck(end, (f,))


def test_float32_has_the_slopes_of_float64():
    slopes = []
    for dtype in (torch.float32, F64):
        c = torch.tensor([0.4, -0.2, 0.1], dtype=dtype, requires_grad=True)
        y = generic(torch.empty(8, 3, dtype=F64)).to(dtype)
        E = ENERGIES["bumps"](c) + 0.3 * jko.SquaredNorm()
        step = differentiable_step(E, jko.Particles(y), tau=0.5)
        assert step.state.dtype is step.value.dtype is dtype
        slopes.append(torch.autograd.grad(step.state.points.square().sum() + step.value, c)[0])
    assert torch.allclose(slopes[0].double(), slopes[1], rtol=1e-3)


def test_numbers_are_those_of_the_step_and_no_record_is_left_in_them():
    c, y = leaves((2,), (5, 2))
    mu = jko.Particles(y)
    step = differentiable_step(ENERGIES["bumps"](c), mu, tau=0.5)
    plain = jko.step(ENERGIES["bumps"](c), mu, tau=0.5, solver=jko.BlockNewton())
    assert torch.equal(step.result.state.points, plain.state.points)
    assert torch.equal(step.state.points, plain.state.points)
    assert step.value.item() == pytest.approx(plain.objective, rel=1e-12)
    assert not step.result.state.requires_grad
    assert not step.result.problem.previous.requires_grad
    with torch.no_grad():
        off = differentiable_step(ENERGIES["bumps"](c), mu, tau=0.5)
    still = differentiable_step(jko.SquaredNorm(), mu.detach(), tau=0.5)
    for one in (off, still):
        assert not one.value.requires_grad
        assert not one.state.requires_grad
    twice = torch.autograd.grad(step.state.points.sum(), c, retain_graph=True)
    assert torch.equal(twice[0], torch.autograd.grad(step.state.points.sum(), c)[0])


def test_values_of_densities_and_meshes_in_the_energy_and_tau():
    c, tau = leaves((1,), ())
    grid = jko.GridDensity.from_function(
        jko.Grid((-3.0, 3.0), 12), lambda x: (-(x[:, 0] ** 2)).exp()
    )
    for state in (grid, jko.LineMesh.from_density(grid)):

        def value(c, tau, state=state):
            E = pulled(c) + 0.5 * jko.Entropy()
            solver = jko.Dynamic(tol=1e-11) if state is grid else None
            return differentiable_step(E, state, tau=(0.2 * tau).exp(), solver=solver).value

        assert gradcheck(value, (c, tau), rtol=1e-3, atol=1e-5)
        step = differentiable_step(pulled(c) + jko.Entropy(), state, tau=0.1)
        with pytest.raises(TypeError, match=r"no derivative; .*\.result\.state"):
            step.state  # noqa: B018
    values = grid.values.clone().requires_grad_()
    with pytest.raises(TypeError, match=r"base point is not known; pass state\.detach\(\)"):
        differentiable_step(jko.Entropy(), jko.GridDensity(grid.grid, values), tau=0.1)


def test_the_value_in_a_metric_with_a_cost_of_its_own():
    c, y = leaves((2,), (4, 2))

    def value(c, y):
        metric, solver = SinkhornDivergence(0.5, tol=1e-12), jko.LBFGS(tol=1e-9)
        step = differentiable_step(
            pulled(c), jko.Particles(y), tau=0.3, metric=metric, solver=solver
        )
        return step.value

    assert gradcheck(value, (c, y), rtol=1e-3, atol=1e-5)
    step = differentiable_step(pulled(c), jko.Particles(y), tau=0.3, metric=SinkhornDivergence(0.5))
    with pytest.raises(TypeError, match=r"second one; .*\.result\.state"):
        step.state  # noqa: B018


def test_what_has_no_derivative_says_so():
    (y,) = leaves((5, 2))
    mu = jko.Particles(y)
    E = jko.Potential(lambda z: bumps(z, torch.ones(2, dtype=F64)))
    with pytest.raises(ValueError, match=r"solved up to .*solver=jko\.BlockNewton\(\)"):
        differentiable_step(E, mu, tau=0.5, solver=jko.LBFGS())
    origin = torch.zeros(1, 1, dtype=F64, requires_grad=True)
    flat = jko.Potential(lambda z: (0.25 * z**4 - 0.5 * z**2).sum(-1))
    step = differentiable_step(flat, jko.Particles(origin), tau=1.0)
    with pytest.raises(ValueError, match="Hessian of the step is singular"):
        step.state.points.sum().backward()
    with pytest.raises(ValueError, match="tau = -1"):
        differentiable_step(E, mu, tau=-1.0)
    x = torch.zeros(3, 2, dtype=F64, requires_grad=True)
    risk = jko.Risk(
        jko.Data(x, x[:, 0]),
        features=lambda z, x: z @ x.T,
        gradient=lambda z, x: x.expand(len(z), *x.shape),
    )
    with pytest.raises(ValueError, match=r"inputs x require gradients"):
        risk(jko.Particles([[1.0, 0.0]]))


def test_no_mode_of_torch_changes_the_numbers():
    """Nor does it leave a record where torch keeps none."""
    c, y = (one.detach() for one in leaves((2,), (5, 2)))
    plain = differentiable_step(ENERGIES["bumps"](c), jko.Particles(y), tau=0.5)
    with torch.inference_mode():
        inside = differentiable_step(ENERGIES["bumps"](c), jko.Particles(y), tau=0.5)
    assert torch.equal(inside.state.points, plain.state.points)
    assert inside.value.item() == plain.value.item()
    assert not inside.state.points.is_inference()
