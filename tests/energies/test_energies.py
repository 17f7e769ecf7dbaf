"""Every energy: its gradient is its derivative, its second order that of the gradient, and the survey's identities.

Central differences with step e leave e^2/6 of the third derivative and 1e-16 |E| / e of rounding; at e = 1e-5 both
are below 1e-9 for the energies here, of order one, and division by the masses (>= .05) leaves 1e-7 as tolerance.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jko
from jko.energies import interaction, risk
from jko.energies.base import Energy
from jko.networks import FeatureMap

E, DIFFERENCE = 1e-5, 1e-7
N, DIM = 5, 3
rng = np.random.default_rng(7)
WEIGHTS = [0.05, 0.3, 0.15, 0.35, 0.15]
MU = jko.Particles(rng.standard_normal((N, DIM)), WEIGHTS)
NU = jko.Particles(rng.standard_normal((N, DIM)), [0.3, 0.1, 0.2, 0.2, 0.2])
X1, X2 = rng.uniform(-1, 1, (9, 1)), rng.uniform(-1, 1, (9, 2))
LINE = jko.Data(X1, np.sin(3 * X1[:, 0]), rng.uniform(0.05, 0.3, 9))
PLANE = jko.Data(X2, np.sin(3 * X2[:, 0]), rng.uniform(0.05, 0.3, 9))


def cubic(theta, x):
    """A smooth h(theta, x) that is no ridge."""
    return (theta @ torch.cat([x, x**2], dim=1).T) ** 3 / 3


def general(xi, x):
    """A Phi(xi, x) that is not of the form w h(theta, x)."""
    return torch.sin(xi[:, :1] * x.T) + (xi[:, 1:] ** 2).sum(-1, keepdim=True) * x.T


def lopsided(z):
    """A kernel W that is not even."""
    return torch.exp(-(z**2).sum(-1)) + 0.3 * z[:, 0]


RISKS = {
    "tanh": jko.Risk(LINE, activation=jko.Ridge(torch.tanh)),
    "sigmoid": jko.Risk(LINE, activation=jko.Ridge(torch.sigmoid)),
    "relu": jko.Risk(LINE, activation=jko.Ridge(torch.relu)),
    "softplus": jko.Risk(LINE, activation=jko.Ridge(torch.nn.functional.softplus)),
    "bump": jko.Risk(PLANE, activation=jko.GaussianBump(0.7)),
    "callable": jko.Risk(LINE, activation=cubic),
    "features": jko.Risk(LINE, features=general),
}
PLAIN = {
    "potential": jko.Potential(lambda z: (z**4).sum(-1) / 4 + z[:, 0] * z[:, 1]),
    "constant": jko.Potential(lambda z: torch.ones_like(z[:, 0])),
    "squared norm": jko.SquaredNorm(),
    "power 1": jko.energies.PowerNorm(1),
    "power 1.5": jko.energies.PowerNorm(1.5),
    "power 3": jko.energies.PowerNorm(3),
    "gaussian kernel": jko.Interaction(lambda z: torch.exp(-(z**2).sum(-1)), convex=True),
    "lopsided kernel": jko.Interaction(lopsided),
}
ENERGIES = {
    **RISKS,
    **PLAIN,
    "sum": RISKS["tanh"] + 0.1 * jko.SquaredNorm() + jko.Interaction(lopsided),
    "negative multiple": -0.5 * (RISKS["tanh"] + jko.Interaction(lopsided)),
    "nested": 2 * (RISKS["features"] + 3 * (RISKS["tanh"] + jko.energies.PowerNorm(3))),
}
every_energy = pytest.mark.parametrize("F", ENERGIES.values(), ids=ENERGIES)
every_risk = pytest.mark.parametrize("R", RISKS.values(), ids=RISKS)


def central(function, points):
    """Central differences of a tensor-valued function in every coordinate, shape (..., N, DIM)."""
    columns = []
    for k in range(points.numel()):
        step = torch.zeros(points.numel(), dtype=points.dtype)
        step[k] = E
        step = step.view(points.shape)
        columns.append((function(points + step) - function(points - step)) / (2 * E))
    return torch.stack(columns, dim=-1).unflatten(-1, points.shape)


def close(a, b, tolerance):
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


# Value, variation, gradient, Hessian


@every_energy
def test_the_gradient_is_the_derivative_of_the_energy_over_the_mass(F):
    derivative = central(lambda points: F(MU.moved(points)), MU.points)
    close(F.gradient(MU), derivative / MU.weights[:, None], DIFFERENCE)


@every_energy
def test_the_gradient_anywhere_is_the_derivative_of_the_variation(F):
    at = NU.points
    derivative = central(lambda z: F.variation(MU, z), at)
    close(F.gradient(MU, at), torch.einsum("iij->ij", derivative), DIFFERENCE)
    close(F.gradient(MU, MU.points), F.gradient(MU), 1e-13)
    close(F.variation(MU, MU.points), F.variation(MU), 1e-13)


@every_energy
def test_the_value_is_differentiable_by_torch(F):
    points = MU.points.clone().requires_grad_()
    value = F(MU.moved(points))
    if F is not ENERGIES["constant"]:
        (slope,) = torch.autograd.grad(value, points)
        close(slope / MU.weights[:, None], F.gradient(MU), 1e-12)
    assert value.shape == ()


@every_energy
def test_evaluate_is_value_variation_and_gradient(F):
    value, variation, gradient = F.evaluate(MU)
    close(value, F(MU), 1e-13)
    close(variation, F.variation(MU), 1e-13)
    close(gradient, F.gradient(MU), 1e-13)
    assert not any(t.requires_grad for t in (value, variation, gradient))


@every_energy
def test_the_second_order_is_the_derivative_of_the_gradient(F):
    blocks, factor, cross = F.second_order(MU)
    v = torch.from_numpy(np.random.default_rng(1).standard_normal((N, DIM)))
    ahead, behind = (F.gradient(MU.moved(MU.points + s * E * v)) for s in (1, -1))
    product = (blocks @ v[:, :, None])[:, :, 0]
    if factor is not None:
        product = product + factor @ MU.integrate((factor * v[:, :, None]).sum(1))
    if cross is not None:
        product = product + cross(v)
    close(product, (ahead - behind) / (2 * E), DIFFERENCE)


@every_energy
def test_the_blocks_are_the_second_derivatives_of_the_variation(F):
    blocks = F.second_order(MU).blocks
    second = central(lambda z: F.gradient(MU, z), MU.points)  # (N, DIM, N, DIM)
    close(blocks, torch.einsum("iaib->iab", second), DIFFERENCE)


@every_energy
def test_nothing_depends_on_whether_torch_records_gradients(F):
    with torch.no_grad():
        quiet = (
            *F.evaluate(MU),
            F.gradient(MU),
            F.gradient(MU, NU.points),
            F.second_order(MU).blocks,
        )
    loud = (*F.evaluate(MU), F.gradient(MU), F.gradient(MU, NU.points), F.second_order(MU).blocks)
    for a, b in zip(quiet, loud, strict=True):
        close(a, b, 1e-13)


@every_energy
def test_a_pair_has_the_energy_of_its_lift(F):
    pair = jko.ChargedParticles(MU.points[:, 1:], MU.points[:, 0], MU.weights)
    assert torch.equal(F(pair), F(MU))
    assert torch.equal(F.variation(pair, NU.points), F.variation(MU, NU.points))
    assert torch.equal(F.gradient(pair), F.gradient(MU))


@every_energy
def test_an_atom_may_be_cut_in_two(F):
    # the energy is a function of the measure, not of the list of atoms
    halves = jko.Particles(MU.points.repeat(2, 1), MU.weights.repeat(2) / 2)
    close(F(halves), F(MU), 1e-13)
    close(F.gradient(halves)[:N], F.gradient(MU), 1e-12)


# The linear structure of measures: Remark 2.1


def mixture(s: float, mu=MU, nu=NU) -> jko.Particles:
    return jko.Particles(
        torch.cat([mu.points, nu.points]), torch.cat([(1 - s) * mu.weights, s * nu.weights])
    )


@every_energy
def test_the_variation_is_the_derivative_along_mixtures(F):
    # every energy here is at most quadratic in mu, so F(nu) - F(mu) is its derivative half way, exactly
    half = mixture(0.5)
    along = NU.integrate(F.variation(half, NU.points)) - MU.integrate(F.variation(half, MU.points))
    close(along, F(NU) - F(MU), 1e-12)


CONVEX = {name: F for name, F in ENERGIES.items() if F.convex}


def test_what_is_convex_is_declared():
    assert set(CONVEX) == set(ENERGIES) - {"lopsided kernel", "sum", "negative multiple"}
    assert not (-1.0 * jko.SquaredNorm()).convex
    assert (0.0 * jko.Interaction(lopsided)).convex is False
    assert jko.Entropy().convex
    assert jko.PorousMedium().convex


def test_a_sum_is_convex_if_all_of_its_terms_are():
    bent, curved = (
        jko.Interaction(lopsided),
        [jko.SquaredNorm(), jko.Entropy(), jko.energies.PowerNorm(3)],
    )
    assert (curved[0] + curved[1] + curved[2]).convex
    for term in curved:
        assert not (term + bent).convex
        assert not (bent + term).convex
        assert not (term + curved[0] + -1.0 * jko.Entropy()).convex


atoms = st.lists(st.tuples(*[st.floats(-3, 3)] * DIM), min_size=1, max_size=4)


@pytest.mark.parametrize("F", CONVEX.values(), ids=CONVEX)
@given(a=atoms, b=atoms, s=st.floats(0.01, 0.99))
def test_convex_energies_lie_below_their_chords(F, a, b, s):
    mu, nu = jko.Particles(a), jko.Particles(b)
    ends = (1 - s) * float(F(mu)) + s * float(F(nu))
    assert float(F(mixture(s, mu, nu))) <= ends + 1e-12 * max(1.0, abs(ends))


# The risk of a network


def test_the_risk_is_the_formula():
    # (2.1), (2.6), (2.8) written out as sums, with masses and quadrature weights
    w, a, b = MU.points.numpy().T
    f_mu = sum(
        m * wi * np.tanh(ai * X1[:, 0] + bi) for m, wi, ai, bi in zip(WEIGHTS, w, a, b, strict=True)
    )
    q, f = LINE.weights.numpy(), LINE.f.numpy()
    expected = 0.5 * (q * (f_mu - f) ** 2).sum() + 0.1 * sum(
        m * 0.5 * (xi @ xi) for m, xi in zip(WEIGHTS, MU.points.numpy(), strict=True)
    )
    F = RISKS["tanh"] + 0.1 * jko.SquaredNorm()
    assert float(F(MU)) == pytest.approx(expected, rel=1e-14)
    assert RISKS["tanh"].predict(MU).numpy() == pytest.approx(f_mu, abs=1e-15)
    assert RISKS["tanh"].residual(MU).numpy() == pytest.approx(f_mu - f, abs=1e-15)


def test_the_energy_of_a_pair_is_the_formula():
    # (2.12)-(2.13) with Vbar(H, theta) = lam/2 (H^2 + |theta|^2)
    H, theta = MU.points[:, 0].numpy(), MU.points[:, 1:].numpy()
    f = sum(
        m * h * np.tanh(t[0] * X1[:, 0] + t[1]) for m, h, t in zip(WEIGHTS, H, theta, strict=True)
    )
    potential = 0.05 * sum(m * (h**2 + t @ t) for m, h, t in zip(WEIGHTS, H, theta, strict=True))
    expected = 0.5 * (LINE.weights.numpy() * (f - LINE.f.numpy()) ** 2).sum() + potential
    G = RISKS["tanh"] + 0.1 * jko.SquaredNorm()
    assert float(G(jko.ChargedParticles(theta, H, WEIGHTS))) == pytest.approx(expected, rel=1e-14)


@every_risk
def test_the_fast_path_is_autograd(R):
    # the plain class Energy differentiates variation() by torch, and knows nothing of linearise()
    fast, plain = R.evaluate(MU), Energy.evaluate(R, MU)
    for a, b in zip(fast, plain, strict=True):
        close(a, b, 1e-13)
    close(Energy.gradient(R, MU), R.gradient(MU), 1e-13)
    close(Energy.gradient(R, MU, NU.points), R.gradient(MU, NU.points), 1e-13)


@every_risk
def test_the_fast_second_order_is_autograd(R):
    v = torch.from_numpy(np.random.default_rng(1).standard_normal((N, DIM)))
    fast, plain = R.second_order(MU), Energy.second_order(R, MU)
    close(fast.blocks, plain.blocks, 1e-12)
    close(fast.factor @ MU.integrate((fast.factor * v[:, :, None]).sum(1)), plain.cross(v), 1e-12)


@every_risk
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_blocks_change_memory_and_not_the_result(R, rows, monkeypatch):
    whole = (
        *R.evaluate(MU),
        R(MU),
        R.predict(MU),
        R.variation(MU),
        R.gradient(MU, NU.points),
        *R.second_order(MU)[:2],
    )
    monkeypatch.setattr(risk, "BLOCK", 8 * rows * LINE.M)
    for keep in (0, 2**27):
        monkeypatch.setattr(risk, "KEEP", keep)
        cut = (
            *R.evaluate(MU),
            R(MU),
            R.predict(MU),
            R.variation(MU),
            R.gradient(MU, NU.points),
            *R.second_order(MU)[:2],
        )
        for a, b in zip(cut, whole, strict=True):
            close(a, b, 1e-13)


def test_predictions_elsewhere_are_those_of_the_network():
    x = np.linspace(-2, 2, 4)[:, None]
    expected = sum(
        m * xi[0] * np.tanh(xi[1] * x[:, 0] + xi[2])
        for m, xi in zip(WEIGHTS, MU.points.numpy(), strict=True)
    )
    assert RISKS["tanh"].predict(MU, x).numpy() == pytest.approx(expected, abs=1e-15)


def test_a_quadrature_that_repeats_a_point_is_one_with_its_weight():
    twice = jko.Data([[0.3], [0.3], [0.9]], [1.0, 1.0, 2.0], [0.2, 0.3, 0.4])
    once = jko.Data([[0.3], [0.9]], [1.0, 2.0], [0.5, 0.4])
    a, b = (jko.Risk(data, activation=jko.Ridge(torch.tanh)) for data in (twice, once))
    close(a(MU), b(MU), 1e-14)
    close(a.gradient(MU), b.gradient(MU), 1e-14)


# K, S, L of (3.3)-(3.8) and their twins on Theta (3.13)-(3.18)


@every_risk
def test_the_risk_is_its_expansion_in_K_and_S(R):
    f2 = float((R.data.weights * R.data.f**2).sum())
    K, S = R.K(MU.points, MU.points), R.S(MU.points)
    expansion = 0.5 * f2 + MU.integrate(MU.integrate(K)) + MU.integrate(S)  # (3.3)
    close(expansion, R(MU), 1e-13)


@every_risk
def test_the_variation_is_L_plus_S(R):
    xi = NU.points
    close(R.L(MU, xi), 2 * MU.integrate(R.K(MU.points, xi)), 1e-13)  # (3.8)
    close(R.L(MU, xi) + R.S(xi), R.variation(MU, xi), 1e-13)  # (3.5)


@every_risk
def test_L_is_positive_and_integrates_to_the_square_of_f_mu(R):
    # as printed, footnote 8 has one half of it
    f_mu = R.predict(MU)
    close(MU.integrate(R.L(MU, MU.points)), (R.data.weights * f_mu**2).sum(), 1e-13)
    K = R.K(MU.points, MU.points)
    assert float(torch.linalg.eigvalsh(K).min()) >= -1e-13 * float(K.abs().max())


@pytest.mark.parametrize("name", ["tanh", "relu", "bump", "callable"])
def test_the_barred_twins_are_the_operators_less_their_charges(name):
    R = RISKS[name]
    w, theta, other = NU.points[:, 0], NU.points[:, 1:], MU.points[:, 1:]
    pair = MU.project()
    close(w[:, None] * MU.points[:, 0] * R.Kbar(theta, other), R.K(NU.points, MU.points), 1e-13)
    close(w * R.Sbar(theta), R.S(NU.points), 1e-13)
    close(w * R.Lbar(pair, theta), R.L(MU, NU.points), 1e-13)  # (3.29)
    close(
        2 * pair.integrate(pair.H[:, None] * R.Kbar(pair.theta, theta)), R.Lbar(pair, theta), 1e-13
    )  # (3.18)
    f2 = (R.data.weights * R.data.f**2).sum()
    K = pair.H[:, None] * pair.H * R.Kbar(pair.theta, pair.theta)
    expansion = (
        0.5 * f2 + pair.integrate(pair.integrate(K)) + pair.integrate(pair.H * R.Sbar(pair.theta))
    )
    close(expansion, R(pair), 1e-13)  # (3.13)


def test_general_features_have_no_barred_twins():
    with pytest.raises(TypeError, match="activation="):
        RISKS["features"].Sbar(NU.points[:, 1:])


def test_projecting_to_a_pair_gains_half_lam_of_the_conditional_variance():
    # F(mu) - G(rho, H) = lam/2 E Var(w | theta); here two thetas, with w in {1, 3} (masses .1, .3) and {-1, 0, 4}
    lam = 0.7
    xi = [[1.0, 0.5, 0.2], [3.0, 0.5, 0.2], [-1.0, -0.4, 0.1], [0.0, -0.4, 0.1], [4.0, -0.4, 0.1]]
    mu = jko.Particles(xi, [0.1, 0.3, 0.2, 0.1, 0.3])
    pair = mu.project()
    first = 0.1 * 1 + 0.3 * 9 - (0.1 + 0.9) ** 2 / 0.4
    second = 0.2 * 1 + 0.3 * 16 - (-0.2 + 1.2) ** 2 / 0.6
    F = RISKS["tanh"] + lam * jko.SquaredNorm()
    assert pair.H.numpy() == pytest.approx([2.5, 1.0 / 0.6])
    assert float(F(mu) - F(pair)) == pytest.approx(lam / 2 * (first + second), abs=1e-14)
    close(RISKS["tanh"].predict(pair), RISKS["tanh"].predict(mu), 1e-14)


# The others


@pytest.mark.parametrize("block", [1, 7, 2**20])
def test_the_interaction_is_the_double_sum(block, monkeypatch):
    monkeypatch.setattr(interaction, "BLOCK", block)
    x = MU.points.numpy()
    total = 0.0
    for i in range(N):
        for j in range(N):
            z = x[i] - x[j]
            total += 0.5 * WEIGHTS[i] * WEIGHTS[j] * (math.exp(-z @ z) + 0.3 * z[0])
    assert float(PLAIN["lopsided kernel"](MU)) == pytest.approx(total, abs=1e-15)


def test_the_interaction_by_the_square_is_the_variance():
    F = jko.Interaction(lambda z: (z * z).sum(-1))
    assert float(F(MU)) == pytest.approx(float(MU.covariance().trace()), rel=1e-13)


@pytest.mark.parametrize("p", [1, 1.5, 2, 3])
def test_the_power_norm_is_finite_at_the_origin(p):
    mu = jko.Particles([[0.0, 0.0], [3.0, 4.0]])
    F = jko.energies.PowerNorm(p)
    assert float(F(mu)) == pytest.approx(5.0**p / 2)
    assert F.gradient(mu)[0].tolist() == [0.0, 0.0]
    assert F.gradient(mu)[1].tolist() == pytest.approx([p * 5 ** (p - 2) * 3, p * 5 ** (p - 2) * 4])
    assert torch.isfinite(F.second_order(mu).blocks).all()


def test_the_power_two_is_twice_the_squared_norm():
    close(jko.energies.PowerNorm(2)(MU), 2 * jko.SquaredNorm()(MU), 1e-15)
    close(jko.energies.PowerNorm(2).gradient(MU), 2 * jko.SquaredNorm().gradient(MU), 1e-15)
    close(
        jko.energies.PowerNorm(2).second_order(MU).blocks,
        2 * jko.SquaredNorm().second_order(MU).blocks,
        1e-14,
    )


def test_terms_flatten_sums_and_multiples():
    tanh, square = RISKS["tanh"], jko.SquaredNorm()
    terms = (2 * (tanh + 3 * (square + tanh))).terms
    assert [(c, F) for c, F in terms] == [(2.0, tanh), (6.0, square), (6.0, tanh)]
    assert (tanh * 2.0)(MU) == 2.0 * tanh(MU)


# Bad input


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: jko.Risk(LINE), TypeError, "neither"),
        (lambda: jko.Risk(LINE, jko.Ridge(torch.tanh), general), TypeError, "both"),
        (lambda: jko.Risk((X1, X1[:, 0]), jko.Ridge(torch.tanh)), TypeError, r"jko\.Data"),
        (lambda: jko.Risk(LINE, activation=3), TypeError, "activation must be"),
        (lambda: jko.energies.PowerNorm(0.5), ValueError, "p >= 1"),
        (lambda: jko.PorousMedium(1.0), ValueError, "m = 1.0"),
        (lambda: float("nan") * jko.SquaredNorm(), ValueError, "coefficient"),
        (lambda: "2" + jko.SquaredNorm(), TypeError, "str"),
        (lambda: jko.SquaredNorm() + 1.0, TypeError, "float"),
        (lambda: jko.Potential(lambda z: z)(MU), ValueError, "the potential V returned shape"),
        (lambda: jko.Potential(lambda z: 1.0)(MU), TypeError, "the potential V returned float"),
        (lambda: jko.Interaction(lambda z: z)(MU), ValueError, "the kernel W returned shape"),
        (
            lambda: jko.Risk(LINE, features=lambda xi, x: xi)(MU),
            ValueError,
            "feature callable .* returned shape",
        ),
        (lambda: jko.Risk(PLANE, jko.Ridge(torch.tanh))(MU), ValueError, "Ridge needs d = n"),
        (lambda: jko.Risk(LINE, jko.GaussianBump())(MU), ValueError, "GaussianBump needs d = n"),
        (
            lambda: RISKS["tanh"](jko.Particles(MU.points.float())),
            ValueError,
            "dtype torch.float32",
        ),
        (
            lambda: RISKS["tanh"].evaluate(jko.Particles(MU.points.float())),
            ValueError,
            "dtype torch.float32",
        ),
        (lambda: RISKS["tanh"].predict(MU, [[1.0, 2.0]]), ValueError, r"x has shape \(1, 2\)"),
        (lambda: jko.Entropy()(MU), TypeError, "density"),
        (lambda: jko.Entropy().variation(MU), TypeError, "density"),
        (lambda: (jko.SquaredNorm() + jko.PorousMedium())(MU), TypeError, "density"),
        (lambda: jko.Entropy().gradient(MU), TypeError, "density"),
    ],
)
def test_a_bad_argument_is_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


def test_a_new_energy_needs_a_value_and_a_variation_only():
    class Mean(Energy):
        """``|mean|^2 / 2``."""

        def __call__(self, state):
            return 0.5 * state.mean().square().sum()

        def variation(self, state, at=None):
            return (state.points if at is None else at) @ state.mean()

    F = Mean()
    close(F.gradient(MU), MU.mean().expand(N, DIM), 1e-15)
    blocks, factor, cross = F.second_order(MU)
    assert factor is None
    v = torch.ones(N, DIM, dtype=torch.float64)
    close((blocks @ v[:, :, None])[:, :, 0] + cross(v), v, 1e-14)


def test_a_new_feature_map_needs_its_values_only():
    class Wave(FeatureMap):
        """``w sin(theta x + phase)``."""

        def __call__(self, z, x):
            return z[:, :1] * torch.sin(z[:, 1:2] * x.T + z[:, 2:])

    R = jko.Risk(LINE, features=Wave())
    derivative = central(lambda points: R(MU.moved(points)), MU.points)
    close(R.gradient(MU), derivative / MU.weights[:, None], DIFFERENCE)
