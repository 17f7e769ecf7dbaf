"""Derivatives of callables that people hand in: the exact answer or a sentence, whatever door, solver or mode.

Every door (a potential, a kernel, features, an activation, the sigma of a ridge or of two layers) gets the same
function written in torch, in numpy with its gradient, in numpy without, and with a part that torch cannot see.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from modes import default_dtype

import jko
from jko.derivatives import Differentiable, differences
from jko.energies import check_variations
from jko.networks import Custom, feature_map

rng = np.random.default_rng(11)
MU = jko.Particles(rng.standard_normal((5, 3)), [0.1, 0.3, 0.2, 0.25, 0.15])
NU = jko.Particles(  # (theta, b, w), the outer weights w in every atom
    np.hstack([rng.standard_normal((4, 3)), np.tile(rng.standard_normal(2), (4, 1))])
)
X = rng.uniform(-1, 1, (6, 1))
DATA = jko.Data(X, np.sin(3 * X[:, 0]))
PLANE = jko.Data(rng.uniform(-1, 1, (6, 2)), rng.standard_normal(6))


@dataclass(frozen=True)
class Door:
    """One place where a callable goes: its function in torch, in numpy, its gradient in numpy, and the energy."""

    torch: object
    numpy: object
    gradient: object
    energy: object
    state: jko.Particles = MU


DOORS = {
    "potential": Door(
        lambda z: (torch.sin(z) + z**4 / 4).sum(-1),
        lambda z: np.sum(np.sin(z) + z**4 / 4, axis=-1),
        lambda z: np.cos(z) + z**3,
        jko.Potential,
    ),
    "kernel": Door(
        lambda z: torch.exp(-(z**2).sum(-1)) + 0.1 * (z**2).sum(-1),
        lambda z: np.exp(-np.sum(z**2, axis=-1)) + 0.1 * np.sum(z**2, axis=-1),
        lambda z: 2 * z * (0.1 - np.exp(-np.sum(z**2, axis=-1, keepdims=True))),
        jko.Interaction,
    ),
    "features": Door(
        lambda z, x: torch.sin(z[:, :1] * x.T) + z[:, 1:2] * z[:, 2:] * x.T**2,
        lambda z, x: np.sin(z[:, :1] * x.T) + z[:, 1:2] * z[:, 2:] * np.square(x.T),
        lambda z, x: np.stack(
            [
                np.cos(z[:, :1] * x.T) * x.T,
                np.multiply(z[:, 2:], np.square(x.T)),
                np.multiply(z[:, 1:2], np.square(x.T)),
            ],
            axis=-1,
        ),
        lambda f, **gradient: jko.Risk(DATA, features=f, **gradient) + 0.1 * jko.SquaredNorm(),
    ),
    "activation": Door(
        lambda theta, x: torch.sin(theta[:, :1] * x.T + theta[:, 1:] ** 2),
        lambda theta, x: np.sin(theta[:, :1] * x.T + theta[:, 1:] ** 2),
        lambda theta, x: np.stack(
            [
                np.cos(theta[:, :1] * x.T + theta[:, 1:] ** 2) * np.asarray(x).T,
                np.cos(theta[:, :1] * x.T + theta[:, 1:] ** 2) * 2 * np.asarray(theta[:, 1:]),
            ],
            axis=-1,
        ),
        lambda f, **gradient: jko.Risk(DATA, activation=f, **gradient) + 0.1 * jko.SquaredNorm(),
    ),
    "sigma": Door(
        torch.sin,
        np.sin,
        np.cos,
        lambda f, **gradient: (
            jko.Risk(DATA, activation=jko.Ridge(f, **gradient)) + 0.1 * jko.SquaredNorm()
        ),
    ),
    "two layers": Door(
        torch.sin,
        np.sin,
        np.cos,
        lambda f, **gradient: (
            jko.energies.TwoLayerRisk(DATA, 2, f, **gradient) + 0.1 * jko.SquaredNorm()
        ),
        NU,
    ),
}
every_door = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)

TIGHT = jko.LBFGS(tol=1e-11)
ASKED = {
    "gradient": lambda E, mu: E.gradient(mu),
    "gradient elsewhere": lambda E, mu: E.gradient(mu, mu.points + 0.3),
    "evaluation": lambda E, mu: torch.cat([p.reshape(-1) for p in E.evaluate(mu)]),
    "hessian": lambda E, mu: E.hessian(mu),
    "second order": lambda E, mu: _product(E.second_order(mu), mu),
    "step": lambda E, mu: jko.step(E, mu, tau=0.3, solver=TIGHT).state.points,
    "newton": lambda E, mu: (
        jko.step(E, mu, tau=0.3, solver=jko.BlockNewton(tol=1e-11)).state.points
    ),
    "plans": lambda E, mu: (
        jko.step(E, mu, tau=0.3, solver=jko.Plans(positions=TIGHT, splits=0)).state.points
    ),
    "flow": lambda E, mu: jko.flow(E, mu, tau=0.2, steps=2, solver=TIGHT).final.points,
    "limit": lambda E, mu: jko.limits.wasserstein(E, mu, t1=0.2).final.points,
    "speed": lambda E, mu: torch.tensor([*jko.diagnostics.speed(E, mu)], dtype=torch.float64),
}
every_question = pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)


def _product(curvature, mu):
    """The Hessian on one field."""
    v = torch.sin(3 * mu.points)
    total = (curvature.blocks @ v[:, :, None])[:, :, 0]
    if curvature.factor is not None:
        J = curvature.factor
        total = total + (J @ mu.integrate((J * v[:, :, None]).sum(1)))
    return total if curvature.cross is None else total + curvature.cross(v)


def close(a, b, tolerance):
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def through_numpy(f):
    """The function in numpy, as people write it who silence torch."""
    return lambda *z: torch.from_numpy(np.asarray(f(*(t.detach().numpy() for t in z))))


# The exact answer


@every_door
@every_question
def test_a_given_gradient_answers_as_torch_does(door, ask):
    energy = door.energy(door.numpy, gradient=door.gradient)
    close(ask(energy, door.state), ask(door.energy(door.torch), door.state), 2e-9)


@every_door
def test_a_given_gradient_answers_as_torch_does_to_ten_digits(door):
    energy, same = door.energy(door.numpy, gradient=door.gradient), door.energy(door.torch)
    for name in ("gradient", "evaluation", "step", "flow"):
        close(ASKED[name](energy, door.state), ASKED[name](same, door.state), 1e-10)


@every_door
def test_callables_with_a_gradient_may_return_tensors_as_well(door):
    def in_torch(*z):
        return torch.from_numpy(np.asarray(door.gradient(*(t.numpy() for t in z))))

    energy = door.energy(door.torch, gradient=in_torch)
    close(energy.gradient(door.state), door.energy(door.torch).gradient(door.state), 1e-12)


def test_the_variation_of_a_given_gradient_is_differentiable_by_torch():
    door, at = DOORS["potential"], MU.points.clone().requires_grad_()
    for E in (door.energy(door.numpy, gradient=door.gradient), door.energy(door.torch)):
        (slope,) = torch.autograd.grad((E.variation(MU, at) * MU.weights).sum(), at)
        close(
            slope, MU.weights[:, None] * torch.from_numpy(door.gradient(MU.points.numpy())), 1e-13
        )


def test_certificates_and_bounds_take_given_gradients():
    door = DOORS["features"]
    energies = [door.energy(door.numpy, gradient=door.gradient), door.energy(door.torch)]
    mine, theirs = (jko.step(E, MU, tau=0.1, solver=TIGHT).certificate() for E in energies)
    assert mine.lower_bound == pytest.approx(theirs.lower_bound, abs=1e-9)
    assert mine.rigorous == theirs.rigorous


@given(
    a=st.lists(st.floats(-3, 3), min_size=3, max_size=3),
    scale=st.sampled_from([1e-3, 1.0, 30.0]),
    shift=st.sampled_from([0.0, 1e6]),
)
def test_random_polynomials_agree(a, scale, shift):
    a = np.array(a)
    mu = jko.Particles(scale * MU.points.numpy())
    mine = jko.Potential(
        lambda z: shift + np.sum(a * z**2 + z**4 / 8, axis=-1),
        gradient=lambda z: 2 * a * z + z**3 / 2,
    )
    theirs = jko.Potential(lambda z: shift + (torch.from_numpy(a) * z**2 + z**4 / 8).sum(-1))
    close(mine.gradient(mu), theirs.gradient(mu), 1e-12)
    close(mine.hessian(mu), theirs.hessian(mu), 1e-8)


def test_densities_need_values_only():
    grid = jko.Grid((-2.0, 2.0), 40)
    rho = jko.GridDensity.from_function(grid, lambda x: torch.exp(-(x**2).sum(-1)))
    mine = jko.Potential(lambda x: np.sum(x**4, axis=-1), gradient=lambda x: 4 * x**3)
    steps = [
        jko.step(V + jko.Entropy(), rho, tau=0.1).state.values
        for V in (mine, jko.Potential(lambda x: (x**4).sum(-1)))
    ]
    close(*steps, 1e-10)


def test_central_differences_have_the_accuracy_they_state():
    z = torch.from_numpy(rng.standard_normal((6, 3)))
    slopes = differences(lambda z: torch.sin(z).sum(-1), z)
    close(slopes, torch.cos(z), 1e-9)
    assert torch.equal(differences(lambda z: torch.ones_like(z), z), torch.zeros(6, 3, 3).to(z))


# A sentence


@every_door
@pytest.mark.parametrize(
    "name", ["gradient", "hessian", "step", "newton", "flow", "limit", "speed"]
)
def test_what_torch_cannot_see_is_refused(door, name):
    energy = door.energy(through_numpy(door.numpy))
    with pytest.raises(ValueError, match=r"(?s)outside torch.*detach.*gradient=") as caught:
        ASKED[name](energy, door.state)
    assert any(word in str(caught.value) for word in ("potential V", "kernel W", "lambda", "sigma"))


@every_door
@pytest.mark.parametrize("name", ["gradient", "newton", "flow", "limit"])
def test_what_torch_sees_in_part_is_refused(door, name):
    def half(*z):
        return door.torch(*z) + 0.5 * door.torch(*(t.detach() for t in z))

    with pytest.raises(ValueError, match=r"slope that torch finds .* is not that of its values"):
        ASKED[name](door.energy(half), door.state)


@every_door
@pytest.mark.parametrize("name", ["gradient", "step", "limit"])
def test_a_wrong_gradient_is_refused(door, name):
    energy = door.energy(door.numpy, gradient=lambda *z: 0.9 * door.gradient(*z))
    with pytest.raises(
        ValueError, match=r"slope that gradient= gives .* is not that of its values"
    ):
        ASKED[name](energy, door.state)


@pytest.mark.parametrize("rows", [40, 100, 1000])
def test_values_and_slopes_may_be_read_off_a_table(rows):
    at = np.linspace(-4, 4, rows)
    table = jko.Potential(
        lambda z: np.interp(z, at, np.cosh(at)).sum(-1),
        gradient=lambda z: np.interp(z, at, np.sinh(at)),
    )
    exact = jko.Potential(lambda z: torch.cosh(z).sum(-1))
    spacing = at[1] - at[0]
    for k in range(5):
        mu = jko.Particles(np.random.default_rng(k).uniform(-2, 2, (20, 2)))
        ends = [
            jko.flow(E, mu, tau=0.2, steps=3, solver=jko.LBFGS(fraction=0.01)).final.points
            for E in (table, exact)
        ]
        assert float((ends[0] - ends[1]).abs().max()) < 0.1 * spacing**2


@every_door
def test_a_gradient_of_a_wrong_shape_or_kind_is_a_sentence(door):
    wrong = {
        "returned shape": lambda *z: np.asarray(door.gradient(*z))[..., None],
        "returned list": lambda *z: np.asarray(door.gradient(*z)).tolist(),
        "returned ndarray": lambda *z: np.asarray(door.gradient(*z)) * 1j,
    }
    for sentence, gradient in wrong.items():
        with pytest.raises((TypeError, ValueError), match=rf"the gradient of .* {sentence}"):
            door.energy(door.numpy, gradient=gradient).gradient(door.state)
    with pytest.raises(TypeError, match="gradient must be callable"):
        door.energy(door.numpy, gradient=5)


def test_weights_of_a_network_are_no_record_of_the_points():
    layer = torch.nn.Linear(3, 1).double()
    seen, unseen = (lambda z: layer(z)[:, 0] ** 2), (lambda z: layer(z.detach())[:, 0] ** 2)
    assert float(jko.Potential(seen).gradient(MU).abs().max()) > 0
    with pytest.raises(ValueError, match="is not that of its values"):
        jko.Potential(unseen).gradient(MU)

    class Mine(jko.Energy):
        def __call__(self, state):
            return state.integrate(self.variation(state))

        def variation(self, state, at=None):
            return unseen(state.points if at is None else at)

    with pytest.raises(ValueError, match="the variation of Mine has no derivative"):
        Mine().gradient(MU)


def test_the_charge_of_a_span_is_asked_term_by_term():
    def span(H0):
        return jko.ChargedSpan(
            jko.Particles(MU.points[:, 1:]), H0, jko.Ridge(torch.tanh), X, b=rng.standard_normal(6)
        )

    unseen = through_numpy(lambda theta: np.sin(theta[:, 0]))
    for ask in (
        jko.diagnostics.graph_slope,
        partial(jko.step, DOORS["activation"].energy(torch.tanh), tau=0.1),
    ):
        with pytest.raises((ValueError, TypeError)):
            ask(span(unseen))
    with pytest.raises(ValueError, match="the function H0 has no derivative"):
        jko.diagnostics.graph_slope(span(unseen))
    given_ = Differentiable(
        "H0",
        lambda theta: np.sin(theta[:, 0]),
        lambda theta: np.stack([np.cos(theta[:, 0]), 0 * np.asarray(theta[:, 0])], axis=-1),
    )
    generator = np.random.default_rng(3)
    b = generator.standard_normal(6)
    spans = [
        jko.ChargedSpan(jko.Particles(MU.points[:, 1:]), H0, jko.Ridge(torch.tanh), X, b=b)
        for H0 in (given_, lambda theta: torch.sin(theta[:, 0]))
    ]
    close(*(jko.diagnostics.graph_slope(s) for s in spans), 1e-12)


def test_the_error_of_a_callable_comes_through_unchanged():
    class Mine(Exception):
        pass

    def fails(*z):
        raise Mine("of the user")

    square = lambda z: (z**2).sum(-1)  # noqa: E731
    for energy in (
        jko.Potential(fails),
        jko.Interaction(fails),
        jko.Risk(DATA, features=fails),
        jko.Risk(DATA, activation=fails),
        jko.Potential(square, gradient=fails),
        jko.Interaction(square, gradient=fails),
    ):
        for name in ("gradient", "step", "newton"):
            with pytest.raises(Mine, match="of the user"):
                ASKED[name](energy, MU)


def test_not_a_number_is_a_status():
    for V in (
        jko.Potential(lambda z: z[:, 0] * math.nan),
        jko.Potential(
            lambda z: np.full(len(z), np.nan), gradient=lambda z: np.full(z.shape, np.nan)
        ),
        jko.Potential(
            lambda z: np.full(len(z), np.inf), gradient=lambda z: np.full(z.shape, np.inf)
        ),
    ):
        assert jko.step(V, MU, tau=0.1, throw=False).status is jko.Status.NOT_FINITE


@pytest.mark.parametrize(
    "make",
    [
        lambda: jko.Potential(5),
        lambda: jko.Interaction("W"),
        lambda: jko.Ridge(None),
        lambda: Custom(3),
        lambda: jko.energies.TwoLayerRisk(DATA, 2, sigma=1.0),
    ],
)
def test_what_is_no_callable_is_refused_at_once(make):
    with pytest.raises(TypeError, match="must be callable"):
        make()


def test_a_gradient_beside_a_feature_map_is_refused():
    with pytest.raises(TypeError, match=r"Ridge\(sigma, gradient=...\)"):
        jko.Risk(DATA, activation=jko.Ridge(torch.tanh), gradient=np.cos)
    with pytest.raises(TypeError, match="knows its own"):
        feature_map("features", Custom(torch.sin), np.cos)


# What is legal


LEGAL = {
    "one": lambda z: torch.ones_like(z[:, 0]),
    "one, of numpy": lambda z: torch.from_numpy(np.ones(len(z))),
    "sign": lambda z: torch.sign(z).sum(-1),
    "round": lambda z: torch.round(3 * z).sum(-1),
    "relu": lambda z: torch.relu(z - 0.1).sum(-1),
    "abs": lambda z: z.abs().sum(-1),
    "norm": lambda z: z.norm(dim=-1),
    "max": lambda z: z.amax(-1),
    "clamp": lambda z: z.clamp(-0.5, 0.5).sum(-1),
    "many kinks": lambda z: (torch.relu(z[:, :, None] - torch.linspace(-2, 2, 200).to(z))).sum(
        (1, 2)
    ),
    "steep": lambda z: torch.tanh(1e6 * z).sum(-1),
    "wavy": lambda z: torch.sin(1e5 * z).sum(-1),
    "large": lambda z: 1e12 + (z**2).sum(-1),
    "tiny": lambda z: 1e-200 * (z**2).sum(-1),
    "log of positive": lambda z: torch.log(z**2).sum(-1),
    "in float32": lambda z: (z.float() ** 2).sum(-1).double(),
    "linear": lambda z: z[:, 0],
}


@pytest.mark.parametrize("V", LEGAL.values(), ids=LEGAL)
@pytest.mark.parametrize("shift", [0.0, 1.0, -1e3])
def test_kinks_steps_and_constants_are_legal(V, shift):
    mu = jko.Particles(torch.cat([MU.points, torch.zeros_like(MU.points[:1])]) + shift)
    found = jko.Potential(V).gradient(mu)
    at = mu.points.clone().requires_grad_()
    total = V(at).sum()
    right = torch.autograd.grad(total, at)[0] if total.requires_grad else torch.zeros_like(at)
    assert torch.equal(found.nan_to_num(), right.nan_to_num())
    jko.Interaction(lambda z: V(z) + V(-z), diagonal=False).gradient(mu)


def test_constant_features_are_legal_and_asked_once():
    calls = []

    def table(z, x):
        calls.append(len(z))
        return torch.ones(len(z), 1, dtype=z.dtype) * x[:, 0]

    energy = jko.Risk(DATA, activation=table) + 0.1 * jko.SquaredNorm()
    gradient = energy.gradient(MU)
    close(gradient[:, 1:], 0.1 * MU.points[:, 1:], 1e-15)
    calls.clear()
    energy.gradient(MU)
    assert len(calls) <= 2


def test_what_was_constant_once_may_change():
    scale = {"a": 0.0}
    V = jko.Potential(lambda z: torch.from_numpy(scale["a"] * z.detach().numpy()[:, 0] + 1))
    assert not V.gradient(MU).any()
    scale["a"] = 1.0
    with pytest.raises(ValueError, match="the potential V has no derivative"):
        V.gradient(MU)


@pytest.mark.parametrize("where", [0.0, 1e-4, 3.0, -40.0, 1e3])
@pytest.mark.parametrize("width", [1e-2, 1.0, 50.0])
def test_what_is_flat_only_here_is_no_constant(where, width):
    def hinge(z):  # zero at the atoms, since they lie inside
        return torch.from_numpy(np.maximum(np.abs(z.detach().numpy() - where) - width, 0).sum(-1))

    mu = jko.Particles([[where, where], [where + 0.5 * width, where - 0.5 * width]])
    with pytest.raises(ValueError, match="has no derivative"):
        jko.Potential(hinge).gradient(mu)


def test_torch_functions_with_a_backward_of_their_own_get_second_derivatives():
    class Quartic(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return (z**4).sum(-1)

        @staticmethod
        def backward(ctx, g):
            return torch.from_numpy(4 * ctx.saved_tensors[0].detach().numpy() ** 3) * g[:, None]

    mine, theirs = jko.Potential(Quartic.apply), jko.Potential(lambda z: (z**4).sum(-1))
    close(mine.hessian(MU), theirs.hessian(MU), 1e-9)
    close(ASKED["newton"](mine, MU), ASKED["newton"](theirs, MU), 1e-10)


def test_an_odd_kernel_is_a_mistake():
    for odd in (lambda z: z[:, 0], lambda z: torch.sin(z).sum(-1), lambda z: (z**3).sum(-1)):
        for ask in (lambda E: E(MU), lambda E: E.gradient(MU), lambda E: E.variation(MU)):
            with pytest.raises(ValueError, match="the kernel W is odd"):
                ask(jko.Interaction(odd))
    even = jko.Interaction(lambda z: (z**2).sum(-1))
    lopsided = jko.Interaction(lambda z: (z**2).sum(-1) + z[:, 0])
    close(even.gradient(MU), lopsided.gradient(MU), 1e-14)


# Energies of one's own


class Quartic(jko.Energy):
    """``int |x|^4_4 dmu``, with faults to choose."""

    def __init__(self, factor=1.0, record=True, ignore=False):
        self.factor, self.record, self.ignore = factor, record, ignore

    def __call__(self, state):
        mu = state.atoms
        return mu.integrate((mu.points**4).sum(-1))

    def variation(self, state, at=None):
        at = state.atoms.points if at is None or self.ignore else at
        value = self.factor * (at**4).sum(-1)
        return value if self.record else value.detach()


class Told(Quartic):
    """The same with its gradient written out."""

    def gradient(self, state, at=None):
        at = state.atoms.points if at is None else at
        return torch.from_numpy(4 * at.detach().numpy() ** 3)


@every_question
def test_an_energy_may_write_its_gradient_out(ask):
    close(ask(Told(record=False), MU), ask(Quartic(), MU), 1e-8)


class Mean(jko.Energy):
    """``|mean|^4 / 4``, whose Hessian is not in blocks; torch sees neither value nor variation."""

    def __init__(self, record):
        self.record = record

    def __call__(self, state):
        value = state.atoms.mean().square().sum() ** 2 / 4
        return value if self.record else value.detach()

    def variation(self, state, at=None):
        mu = state.atoms
        at, m = mu.points if at is None else at, mu.mean()
        value = m.square().sum() * (at @ m)
        return value if self.record else value.detach()

    def gradient(self, state, at=None):
        mu = state.atoms
        at, m = mu.points if at is None else at, mu.mean()
        return (m.square().sum() * m).detach().expand(at.shape)


def test_second_derivatives_of_what_torch_cannot_see_are_differences_of_the_gradient():
    mu = MU.moved(MU.points + 0.5)
    close(*(ASKED["second order"](Mean(record), mu) for record in (False, True)), 1e-8)


@pytest.mark.parametrize("name", ["gradient", "newton"])
def test_a_feature_map_of_ones_own_is_not_differentiated_in_silence(name):
    class Wave(jko.networks.FeatureMap):
        def __call__(self, z, x):
            return torch.sin(z.detach()[:, :1] * x.T)

    with pytest.raises(ValueError, match="the feature map Wave has no derivative"):
        ASKED[name](jko.Risk(DATA, features=Wave()), MU)


@pytest.mark.parametrize("name", ["gradient", "hessian", "step", "newton", "limit"])
def test_a_variation_that_torch_cannot_see_is_refused(name):
    with pytest.raises(ValueError, match=r"the variation of Quartic has no derivative.*override"):
        ASKED[name](Quartic(record=False), MU)


@pytest.mark.parametrize(
    "energy", [Quartic(0.3), Quartic(-1.0), Quartic(1.1), Quartic(ignore=True)]
)
@pytest.mark.parametrize("name", ["step", "newton", "plans", "flow"])
def test_a_variation_of_other_values_is_refused(energy, name):
    for E in (energy, 2 * energy + jko.SquaredNorm(), jko.SquaredNorm() - energy):
        with pytest.raises(ValueError, match="variation of Quartic is not the derivative of its"):
            ASKED[name](E, MU)
    pair = MU.project()
    with pytest.raises(ValueError, match="variation of OnTheta is not the derivative of its"):
        jko.step(jko.energies.OnTheta(energy), pair, tau=0.1)


@every_door
def test_energies_of_the_package_are_not_asked(door):
    check_variations(door.energy(door.torch), door.state)
    check_variations(Quartic() + jko.Entropy(), MU)
    check_variations(Quartic(0.3), jko.LineMesh([0.0, 1.0], [1.0]))  # a matter of atoms


@given(kind=st.sampled_from(["relu", "abs", "jump", "noise"]), at=st.sampled_from([0.0, 1.0]))
def test_kinks_and_noise_in_an_energy_of_ones_own_are_legal(kind, at):
    f = {
        "relu": lambda z: torch.relu(z).sum(-1),
        "abs": lambda z: z.abs().sum(-1),
        "jump": lambda z: torch.sign(z).sum(-1),
        "noise": lambda z: (z**2).sum(-1) * torch.rand(1, dtype=torch.float64),
    }[kind]

    class Mine(jko.Energy):
        def __call__(self, state):
            return state.integrate(f(state.points))

        def variation(self, state, at=None):
            return f(state.points if at is None else at)

    check_variations(Mine(), jko.Particles([[at, 0.0], [0.0, at]]))


# Sums of energies


def test_energies_are_a_vector_space():
    E, F = jko.Potential(lambda z: (z**4).sum(-1)), jko.Interaction(lambda z: (z**2).sum(-1))
    same = [
        (-E, -1 * E),
        (E / 4, 0.25 * E),
        (E - F, E + (-1) * F),
        (sum([E, F, E]), E + F + E),
        (np.float64(2) * E, 2 * E),
        (E * np.float32(2), 2 * E),
        (E - 2 * (F - E), 3 * E + (-2) * F),
    ]
    for left, right in same:
        close(left.gradient(MU), right.gradient(MU), 1e-14)
        assert float(left(MU)) == pytest.approx(float(right(MU)), rel=1e-14)
    assert sum([E]) is E
    for wrong in (lambda: E - 1, lambda: 1 + E, lambda: E + 1, lambda: E - "F", lambda: E / "F"):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(ValueError, match="the divisor of an energy is 0"):
        E / 0


def test_bandwidths_have_one_range():
    with pytest.raises(ValueError, match=r"bandwidth = 1e-200; .* scale the points and the bandw"):
        jko.KernelEntropy(1e-200)
    with pytest.raises(ValueError, match="bandwidth = 1e-160"):
        jko.energies.KernelPorousMedium(1e-160)
    with pytest.raises(ValueError, match=r"bandwidth = 1e\+300"):
        jko.KernelEntropy(1e300)
    with pytest.raises(ValueError, match=r"in torch.float32 its square"):
        jko.KernelEntropy(1e-30)(jko.Particles(MU.points.float()))
    two = jko.Particles([[0.0], [1.0]])
    for bandwidth in (1e-140, 1e140):
        E = jko.KernelEntropy(bandwidth)
        weight = 0.5 if bandwidth < 1 else 1.0  # of one atom, or of both together
        value = math.log(weight) - 0.5 * math.log(2 * math.pi) - math.log(bandwidth)
        assert float(E(two)) == pytest.approx(value, rel=1e-12)
        assert torch.isfinite(E.gradient(two)).all()


def test_two_layers_say_which_dtype():
    with pytest.raises(ValueError, match=r"dtype torch.float32 but the data x has dtype"):
        jko.step(jko.energies.TwoLayerRisk(DATA, 2), jko.Particles(NU.points.float()), tau=0.1)
    small = jko.Data(DATA.x.float(), DATA.f.float())
    result = jko.step(
        jko.energies.TwoLayerRisk(small, 2), jko.Particles(NU.points.float()), tau=0.1
    )
    double = jko.step(jko.energies.TwoLayerRisk(DATA, 2), NU, tau=0.1)
    assert result.energy == pytest.approx(double.energy, rel=1e-3)


# The mode of the caller


MODES = {
    "inference": torch.inference_mode,
    "no grad": torch.no_grad,
    "double": lambda: default_dtype(torch.float64),
    "half": lambda: default_dtype(torch.float16),
    "another device": lambda: torch.device("meta"),
}
every_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


@every_door
@every_mode
def test_the_mode_of_the_caller_changes_no_bit(door, mode):
    for told in (False, True):
        for name in ("gradient elsewhere", "second order", "newton", "limit"):
            with mode():
                found = _bits(ASKED[name](_energy(door, told), door.state))
            assert found == _bits_in_no_mode(door, told, name), name


def _energy(door, told):
    return door.energy(door.numpy, gradient=door.gradient) if told else door.energy(door.torch)


@lru_cache
def _bits_in_no_mode(door, told, name):
    return _bits(ASKED[name](_energy(door, told), door.state))


def _bits(tensor):
    with torch.inference_mode(False):
        return tensor.cpu().numpy().tobytes()


@every_door
@every_mode
def test_the_mode_of_the_caller_does_not_hide_what_torch_cannot_see(door, mode):
    with mode(), pytest.raises(ValueError, match="outside torch"):
        ASKED["step"](door.energy(through_numpy(door.numpy)), door.state)


@pytest.mark.parametrize(
    "energy", [0.1 * jko.KernelEntropy(0.7), jko.energies.PowerNorm(3.0), Quartic()]
)
@every_mode
def test_other_energies_do_not_depend_on_the_mode(energy, mode):
    for name in ("gradient", "gradient elsewhere", "hessian", "second order", "step", "newton"):
        right = _bits(ASKED[name](energy, MU))
        with mode():
            found = _bits(ASKED[name](energy, MU))
        assert found == right, name


def test_points_made_in_inference_mode_are_as_good_as_others():
    with torch.inference_mode():
        points = MU.points * 1.0
        moved = MU.moved(points)
        result = jko.step(jko.SquaredNorm(), MU, tau=0.1)
    assert points.is_inference()
    for door in DOORS.values():
        if door.state is MU:
            E = door.energy(door.torch)
            assert torch.equal(E.gradient(moved), E.gradient(MU))
            assert torch.equal(E.gradient(MU, points), E.gradient(MU, MU.points))
    assert not result.state.points.is_inference()
    assert not any(t.is_inference() for t in result.memory.values())
