"""Mollified internal energies: right derivatives, closed forms, and flows that converge to heat and porous medium.

The flows are held against the exact JKO iterates, for which Gaussians and Barenblatt profiles keep their shape and one
number, the scale, has a closed recursion; so the error is that of bandwidth and atoms alone.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

import jko
from jko.energies import pairs
from jko.energies.base import Energy

E, DIFFERENCE = 1e-5, 1e-7
N, DIM = 5, 3
rng = np.random.default_rng(7)
MU = jko.Particles(rng.standard_normal((N, DIM)), [0.05, 0.3, 0.15, 0.35, 0.15])
NU = jko.Particles(rng.standard_normal((N, DIM)), [0.3, 0.1, 0.2, 0.2, 0.2])
ENERGIES = {
    "entropy": jko.KernelEntropy(0.7),
    "wide entropy": jko.KernelEntropy(3.0),
    "square": jko.energies.KernelPorousMedium(0.7),
    "m = 1.5": jko.energies.KernelPorousMedium(0.8, 1.5),
    "m = 3": jko.energies.KernelPorousMedium(0.6, m=3.0),
}
every_energy = pytest.mark.parametrize("F", ENERGIES.values(), ids=ENERGIES)


def close(a, b, tolerance):
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tolerance * max(1.0, float(b.abs().max()))


def along(function, points, v):
    """A central difference along the field v."""
    return (function(points + E * v) - function(points - E * v)) / (2 * E)


FIELD = torch.from_numpy(np.random.default_rng(1).standard_normal((N, DIM)))


@every_energy
def test_the_gradient_is_the_derivative_of_the_energy(F):
    close(MU.inner(F.gradient(MU), FIELD), along(lambda x: F(MU.moved(x)), MU.points, FIELD), 1e-9)
    points = MU.points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(F(MU.moved(points)), points)
    close(F.gradient(MU), slope / MU.weights[:, None], 1e-13)


@every_energy
def test_gradient_and_hessian_anywhere_are_derivatives_of_the_variation(F):
    at = NU.points
    slope = along(lambda z: F.variation(MU, z), at, FIELD)
    close((F.gradient(MU, at) * FIELD).sum(1), slope, DIFFERENCE)
    second = along(lambda z: F.gradient(MU, z), at, FIELD)
    close((F.hessian(MU, at) @ FIELD[:, :, None])[:, :, 0], second, DIFFERENCE)
    close(F.hessian(MU, MU.points), F.hessian(MU), 1e-12)
    close(F.gradient(MU, MU.points), F.gradient(MU), 1e-13)
    close(F.variation(MU, MU.points), F.variation(MU), 1e-13)


@every_energy
def test_the_variation_is_differentiable_by_torch_in_the_atoms(F):
    at, points = NU.points, MU.points.clone().requires_grad_()
    for fixed in (at, None):
        total = F.variation(MU.moved(points), fixed).sum()
        (slope,) = torch.autograd.grad(total, points)
        expected = along(lambda x, at=fixed: F.variation(MU.moved(x), at).sum(), MU.points, FIELD)
        close((slope * FIELD).sum(), expected, DIFFERENCE)


@every_energy
def test_evaluate_is_value_variation_and_gradient(F):
    value, variation, gradient = F.evaluate(MU)
    close(value, F(MU), 1e-14)
    close(variation, F.variation(MU), 1e-14)
    close(gradient, F.gradient(MU), 1e-14)
    assert not any(t.requires_grad for t in (value, variation, gradient))


@every_energy
def test_the_second_order_is_the_derivative_of_the_gradient(F):
    blocks, factor, cross = F.second_order(MU)
    assert factor is None
    product = (blocks @ FIELD[:, :, None])[:, :, 0] + cross(FIELD)
    close(product, along(lambda x: F.gradient(MU.moved(x)), MU.points, FIELD), DIFFERENCE)
    plain = Energy.second_order(F, MU)  # by torch, which knows nothing of the formulas
    close(blocks, plain.blocks, 1e-12)
    close(cross(FIELD), plain.cross(FIELD), 1e-12)


@every_energy
def test_the_variation_is_the_derivative_along_mixtures(F):
    def at(s):
        weights = torch.cat([(1 - s) * MU.weights, s * NU.weights])
        return F(jko.Particles(torch.cat([MU.points, NU.points]), weights))

    half = jko.Particles(torch.cat([MU.points, NU.points]), torch.cat([MU.weights, NU.weights]) / 2)
    variation = F.variation(half)
    slope = NU.integrate(variation[N:]) - MU.integrate(variation[:N])
    close(slope, (at(0.5 + E) - at(0.5 - E)) / (2 * E), 1e-8)


@every_energy
def test_an_atom_may_be_cut_in_two_and_the_order_does_not_matter(F):
    halves = jko.Particles(MU.points.repeat(2, 1), MU.weights.repeat(2) / 2)
    close(F(halves), F(MU), 1e-14)
    close(F.gradient(halves)[:N], F.gradient(MU), 1e-13)
    order = torch.tensor([3, 0, 4, 2, 1])
    mixed = jko.Particles(MU.points[order], MU.weights[order])
    close(F.gradient(mixed), F.gradient(MU)[order], 1e-13)


@every_energy
def test_a_pair_has_the_energy_of_its_lift(F):
    pair = jko.ChargedParticles(MU.points[:, 1:], MU.points[:, 0], MU.weights)
    close(F(pair), F(MU), 1e-15)
    close(F.variation(pair, NU.points), F.variation(MU, NU.points), 1e-15)


@every_energy
@pytest.mark.parametrize("block", [1, 7, 2**20])
def test_blocks_change_memory_and_not_the_result(F, block, monkeypatch):
    mu = jko.Particles(np.random.default_rng(3).standard_normal((40, 2)))
    v = torch.from_numpy(np.random.default_rng(4).standard_normal((40, 2)))

    def everything():
        blocks, _, cross = F.second_order(mu)
        return (*F.evaluate(mu), F.variation(mu, v), F.gradient(mu, v), blocks, cross(v))

    whole = everything()
    monkeypatch.setattr(pairs, "BLOCK", block)
    for keep in (0, 2**26):
        monkeypatch.setattr(pairs, "KEEP", keep)
        for a, b in zip(everything(), whole, strict=True):
            close(a, b, 1e-13)


def test_pairs_out_of_reach_are_left_out_and_change_nothing():
    # bandwidth 1/50 of the cloud: most columns are outside the windows
    x = np.random.default_rng(5).uniform(-1, 1, (300, 2))
    mu, F = jko.Particles(x), jko.KernelEntropy(0.04)
    windows = pairs.PairKernel(mu, 0.04).windows
    assert sum((b - a) * (d - c) for a, b, c, d in windows) < 0.7 * 300**2
    k = np.exp(-((x[:, None] - x) ** 2).sum(-1) / (2 * 0.04**2)) / (2 * math.pi * 0.04**2)
    rho = k.mean(1)
    slope = -((x[:, None] - x) * (k * (1 / rho[:, None] + 1 / rho))[:, :, None]).mean(1) / 0.04**2
    close(F.gradient(mu), torch.from_numpy(slope), 1e-12)
    assert float(F(mu)) == pytest.approx(np.log(rho).mean(), rel=1e-13)


# Closed forms


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_one_atom_has_the_energy_of_the_kernels_peak(dim):
    atom, peak = jko.Particles(np.ones((1, dim))), (2 * math.pi * 0.3**2) ** (-dim / 2)
    assert float(jko.KernelEntropy(0.3)(atom)) == pytest.approx(math.log(peak), rel=1e-14)
    for m in (1.5, 2.0, 3.0):
        expected = peak ** (m - 1) / (m * (m - 1))
        assert float(jko.energies.KernelPorousMedium(0.3, m)(atom)) == pytest.approx(
            expected, rel=1e-14
        )


def test_a_normal_law_has_the_energy_of_two_normal_laws():
    # K * N(0, s^2) = N(0, s^2 + eps^2); midpoint quantiles are good to about 1/N
    s, eps, count = 0.8, 0.5, 2000
    mu = jko.Particles(s * norm.ppf((np.arange(count) + 0.5) / count)[:, None])
    v = s**2 + eps**2
    entropy = -0.5 * math.log(2 * math.pi * v) - s**2 / (2 * v)
    assert float(jko.KernelEntropy(eps)(mu)) == pytest.approx(entropy, abs=1 / count)
    square = 0.5 / math.sqrt(2 * math.pi * (2 * s**2 + eps**2))
    assert float(jko.energies.KernelPorousMedium(eps)(mu)) == pytest.approx(square, abs=0.1 / count)


def test_the_square_is_an_interaction():
    peak = (2 * math.pi * 0.7**2) ** (-DIM / 2)
    W = jko.Interaction(lambda z: peak * torch.exp(-(z * z).sum(-1) / (2 * 0.7**2)))
    F = jko.energies.KernelPorousMedium(0.7)
    for a, b in zip(F.evaluate(MU), W.evaluate(MU), strict=True):
        close(a, b, 1e-14)


def test_a_small_bandwidth_leaves_atoms_alone_and_far_points_finite():
    F = jko.KernelEntropy(1e-4)
    value, variation, gradient = F.evaluate(MU)
    peak = -1.5 * math.log(2 * math.pi * 1e-8)
    assert float(value) == pytest.approx(float(MU.integrate(MU.weights.log())) + peak, rel=1e-14)
    assert variation.numpy() == pytest.approx(MU.weights.log().numpy() + peak + 1, rel=1e-14)
    assert float(gradient.abs().max()) == 0.0
    far = torch.full((1, DIM), 50.0, dtype=torch.float64)
    nearest = MU.points[(MU.points - far).norm(dim=1).argmin()]
    close(F.gradient(MU, far)[0], (nearest - far[0]) / 1e-8, 1e-12)
    assert torch.isfinite(F.hessian(MU, far)).all()


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("n", [1, 2, 300])
def test_atoms_that_are_not_finite_give_no_number(wrong, n, monkeypatch):
    # what a solver tries may be no point at all; it must see that, not an error of an empty block
    monkeypatch.setattr(pairs, "BLOCK", 64)
    points = torch.linspace(-1, 1, 2 * n, dtype=torch.float64).reshape(n, 2).clone()
    mu = jko.Particles(points)
    for bad in ([0], range(n)):
        at = points.clone()
        at[list(bad), 0] = wrong
        moved = mu.moved(at)
        for E in (jko.KernelEntropy(0.1), jko.energies.KernelPorousMedium(0.1, 2.0)):
            assert math.isnan(float(E(moved)))
            assert bool(E.gradient(moved)[0].isnan().all())


def test_a_cloud_far_from_the_origin_keeps_its_digits():
    F, shift = jko.KernelEntropy(0.05), 2.0**20
    x = torch.round(MU.points * 2**20) / 2**20  # so that the shift is exact
    close(F.gradient(jko.Particles(x + shift)), F.gradient(jko.Particles(x)), 1e-14)


@pytest.mark.parametrize("F", [jko.KernelEntropy(0.02), jko.energies.KernelPorousMedium(0.02, 1.5)])
def test_empty_cells_of_a_density_count_nothing_and_stay_finite(F):
    grid = jko.Grid((0.0, 1.0), (5, 4))
    values = np.zeros((5, 4))
    values[0, 0], values[1, 2] = 15.0, 5.0
    rho = jko.GridDensity(grid, values)
    close(F(rho), F(rho.to_particles()), 1e-14)
    value, variation, gradient = F.evaluate(rho.atoms)
    close(value, F(rho), 1e-14)
    close(variation, F.variation(rho.to_particles(), grid.centres), 1e-12)
    close(gradient, F.gradient(rho.to_particles(), grid.centres), 1e-12)
    assert torch.isfinite(variation).all()
    blocks, _, cross = F.second_order(rho.atoms)
    assert torch.isfinite(blocks).all()
    assert torch.isfinite(cross(gradient)).all()


# Convexity


def test_what_is_convex_is_declared():
    assert jko.energies.KernelPorousMedium(0.5).convex
    assert not jko.energies.KernelPorousMedium(0.5, 3.0).convex
    assert not jko.KernelEntropy(0.5).convex


atoms = st.lists(st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=4)


@given(a=atoms, b=atoms, s=st.floats(0.01, 0.99))
def test_the_square_lies_below_its_chords(a, b, s):
    F, mu, nu = jko.energies.KernelPorousMedium(0.5), jko.Particles(a), jko.Particles(b)
    between = jko.Particles(
        torch.cat([mu.points, nu.points]), torch.cat([(1 - s) * mu.weights, s * nu.weights])
    )
    assert float(F(between)) <= (1 - s) * float(F(mu)) + s * float(F(nu)) + 1e-13


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda: jko.KernelEntropy(0.0), ValueError, r"bandwidth = 0\.0"),
        (lambda: jko.KernelEntropy(math.nan), ValueError, "bandwidth"),
        (lambda: jko.KernelEntropy("wide"), TypeError, "bandwidth must be a number"),
        (lambda: jko.energies.KernelPorousMedium(-1.0), ValueError, r"bandwidth = -1\.0"),
        (lambda: jko.energies.KernelPorousMedium(1.0, 1.0), ValueError, r"m = 1\.0"),
    ],
)
def test_a_bad_argument_is_a_sentence(make, error, sentence):
    with pytest.raises(error, match=sentence):
        make()


# Flows.  The exact JKO iterates keep their shape: x -> scale x with
#   heat, from N(0, I):  scale+ = scale + tau / scale+
#   m = 2, from c (1 - |x|^2)_+:  M (scale+ - scale) / tau = d C scale+^{-d-1},  C = 1/2 int rho^2, M = int |x|^2 rho

C, M = {1: 0.3, 2: 2 / (3 * math.pi)}, {1: 0.2, 2: 1 / 3}
TAU, STEPS = 0.05, 4


def heat(d, r2):
    return np.exp(-r2 / 2) / (2 * math.pi) ** (d / 2)


def barenblatt(d, r2):
    return {1: 0.75, 2: 2 / math.pi}[d] * np.maximum(1 - r2, 0)


def exact_scale(profile, d):
    scale = 1.0
    for _ in range(STEPS):
        if profile is heat:
            scale = (scale + math.sqrt(scale**2 + 4 * TAU)) / 2
        else:
            old = scale
            scale = brentq(
                lambda s, old=old: M[d] * (s - old) / TAU - d * C[d] * s ** (-d - 1), old, old + 9
            )
    return scale


def lattice(radius, n, d):
    """Centres of n^d cells of [-radius, radius]^d."""
    line = radius * ((2 * np.arange(n) + 1) / n - 1)
    return np.stack(np.meshgrid(*[line] * d, indexing="ij"), axis=-1).reshape(-1, d)


def l1_error(profile, d, n, ratio):
    """Of the mollified density after STEPS steps, from n^d cells of width h as atoms, with bandwidth ratio h^.99."""
    radius = 5.0 if profile is heat else 1.0
    x = lattice(radius, n, d)
    w = profile(d, (x**2).sum(1))
    x, w = x[w > 0], w[w > 0] / w.sum()
    energy = jko.KernelEntropy if profile is heat else jko.energies.KernelPorousMedium
    F = energy(ratio * (2 * radius / n) ** 0.99)
    run = jko.flow(F, jko.Particles(x, w), tau=TAU, steps=STEPS, solver=jko.LBFGS(tol=1e-5))
    scale = exact_scale(profile, d)
    at = lattice(1.5 * radius, 300 if d == 1 else 60, d)
    rho = F.log_density(run.final, torch.from_numpy(at)).exp().numpy()
    exact = profile(d, (at**2).sum(1) / scale**2) / scale**d
    return np.abs(rho - exact).sum() * (at[1, -1] - at[0, -1]) ** d


@pytest.mark.parametrize(
    ("profile", "ratio"), [(heat, 1.0), (barenblatt, 1.5)], ids=["heat", "square"]
)
def test_flows_on_the_line_converge_at_second_order(profile, ratio):
    errors = np.array([l1_error(profile, 1, n, ratio) for n in (25, 50, 100)])
    assert np.log2(errors[:-1] / errors[1:]).min() > 1.85
    assert errors[-1] < 4e-3


@pytest.mark.slow
@pytest.mark.parametrize("profile", [heat, barenblatt], ids=["heat", "square"])
def test_flows_in_the_plane_converge_at_second_order(profile):
    errors = np.array([l1_error(profile, 2, n, 1.0) for n in (16, 32, 64)])
    orders = np.log2(errors[:-1] / errors[1:])
    assert orders.min() > 1.75
    assert orders[-1] > 1.9


def test_one_step_of_the_heat_flow_by_newton_and_by_quasi_newton_is_the_same():
    F = jko.KernelEntropy(0.4)
    mu = jko.Particles(norm.ppf((np.arange(30) + 0.5) / 30)[:, None])
    one, other = (
        jko.step(F, mu, tau=0.05, solver=solver).state.points
        for solver in (jko.LBFGS(tol=1e-11), jko.BlockNewton(tol=1e-11))
    )
    close(one, other, 1e-11)


@pytest.mark.parametrize(
    "energy", [jko.KernelEntropy(0.3), jko.energies.KernelPorousMedium(0.3)], ids=["heat", "square"]
)
def test_a_regularised_network_with_two_inputs_and_a_bias_falls_and_spreads(energy):
    generator = torch.Generator().manual_seed(5)
    x = 2 * torch.rand(40, 2, generator=generator, dtype=torch.float64) - 1
    risk = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0]) * x[:, 1]), activation=jko.Ridge(torch.tanh))
    plain = risk + 0.05 * jko.SquaredNorm()
    start = jko.Particles.normal(60, 4, generator=generator, scale=0.5)  # xi = (w, a_1, a_2, b)
    spread = []
    for F in (plain, plain + 0.1 * energy):
        run = jko.flow(F, start, tau=0.2, steps=8, solver=jko.LBFGS(tol=1e-6))
        assert (np.diff(run.energies) < 0).all()
        assert (run.slacks >= 0).all()
        spread.append(float(run.final.covariance().trace()))
    assert spread[1] > 1.02 * spread[0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("E", [jko.KernelEntropy(0.5), jko.energies.KernelPorousMedium(0.5)])
def test_where_a_step_has_left_the_numbers_the_energy_is_no_number(E, bad):
    mu = jko.Particles([[0.0], [1.0], [2.0]])
    lost = mu.moved(torch.tensor([[0.0], [bad], [2.0]], dtype=torch.float64))
    assert not math.isfinite(float(E.evaluate(lost).value))
    result = jko.step(1e300 * E, mu, tau=0.1, throw=False)
    assert result.status in (jko.Status.NOT_FINITE, jko.Status.UNBOUNDED)
