"""Potentials from snapshots: exact where they lie in the span, whichever scheme made the data; refused where not."""

import math
import pickle

import numpy as np
import pytest
import torch

import jko
from jko.snapshots import Bumps, Monomials, fit

TAU, N, STEPS = 0.05, 60, 3


def styblinski_tang(x):
    return 0.05 * (x**4 - 16 * x**2 + 5 * x).sum(-1)


def holder_table(x):
    rings = (1 - x.norm(dim=1) / math.pi).abs().exp()
    return -(x[:, 0].sin() * x[:, 1].cos() * rings).abs()


def bohachevsky(x):
    waves = 0.3 * (3 * math.pi * x[:, 0]).cos() + 0.4 * (4 * math.pi * x[:, 1]).cos()
    return 0.1 * (x[:, 0] ** 2 + 2 * x[:, 1] ** 2) - waves


def start(dim, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 4 * torch.rand(N, dim, dtype=torch.float64, generator=generator) - 2


def shuffled(clouds):
    generator = torch.Generator().manual_seed(7)
    return [x[torch.randperm(len(x), generator=generator)] for x in clouds]


def implicit(V, dim):
    run = jko.flow(
        jko.Potential(V),
        jko.Particles(start(dim)),
        tau=TAU,
        steps=STEPS,
        solver=jko.LBFGS(tol=1e-12),
        throw=False,
    )
    return shuffled([state.points for state in run.states])


def explicit(V, dim):
    clouds = [start(dim)]
    for _ in range(STEPS):
        x = clouds[-1]
        clouds.append(x - TAU * jko.Potential(V).gradient(jko.Particles(x)))
    return shuffled(clouds)


MAKERS = {"implicit": implicit, "explicit": explicit}


def error(found, V, dim):
    """Of the gradient, relative, where the snapshots began."""
    mu = jko.Particles(start(dim))
    right = jko.Potential(V).gradient(mu)
    return float((found.potential.gradient(mu) - right).norm() / right.norm())


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("scheme", MAKERS)
def test_a_potential_in_the_span_is_found(scheme, dim):
    found = fit(MAKERS[scheme](styblinski_tang, dim), Monomials(4), tau=TAU, scheme=scheme)
    assert error(found, styblinski_tang, dim) < 1e-9
    assert found.residual < 1e-9
    assert found.held_out.max() < 1e-8
    assert found.refused is None
    assert found.fits_better == scheme
    assert found.exact


@pytest.mark.parametrize("scheme", MAKERS)
def test_the_wrong_scheme_is_named(scheme):
    other = {"implicit": "explicit", "explicit": "implicit"}[scheme]
    found = fit(MAKERS[scheme](styblinski_tang, 2), Monomials(4), tau=TAU, scheme=other)
    assert error(found, styblinski_tang, 2) > 0.03
    assert found.residual > 1e6 * found.other
    assert found.fits_better == scheme
    assert f"pass scheme='{scheme}'" in found.refused
    assert found.refused in str(found)


@pytest.mark.parametrize("V", [holder_table, bohachevsky])
@pytest.mark.parametrize("scheme", MAKERS)
def test_a_potential_outside_the_span_is_refused(V, scheme):
    found = fit(MAKERS[scheme](V, 2), Monomials(4), tau=TAU, scheme=scheme)
    assert error(found, V, 2) > 0.2
    assert max(found.residual, found.held_out.max()) > 0.1
    assert "no potential in the span" in found.refused


def test_steps_of_a_quadratic_potential_in_closed_form():
    """x' = (I + tau A)^{-1} x for V = x.A x / 2."""
    A = torch.tensor([[2.0, 0.5], [0.5, 1.0]]).double()
    clouds = [start(2)]
    for _ in range(2):
        clouds.append(clouds[-1] @ torch.linalg.inv(torch.eye(2) + 0.5 * A))
    found = fit(shuffled(clouds), Monomials(2), tau=0.5)
    assert found.coefficients == pytest.approx([0, 0, 1.0, 0.5, 0.5], abs=1e-12)
    value = found.potential(jko.Particles([[1.0, 2.0]]))
    assert float(value) == pytest.approx(0.5 * (2 + 2 + 4), rel=1e-12)


def test_a_potential_goes_on_where_the_data_end():
    V, exact = jko.Potential(styblinski_tang), jko.LBFGS(tol=1e-10)
    run = jko.flow(V, jko.Particles(start(1)), tau=TAU, steps=4, solver=exact)
    found = fit(run.states[:4], Monomials(4), tau=TAU)
    ahead = jko.step(found.potential, run.states[3], tau=TAU, solver=exact).state
    assert jko.distance(ahead, run.states[4]).value < 1e-8
    again = pickle.loads(pickle.dumps(found.potential))
    assert torch.equal(again.variation(ahead), found.potential.variation(ahead))


def test_clouds_of_other_sizes_and_masses_are_snapshots_too():
    """A quadratic V shrinks everything: the quantiles of N(0, 1.2^-2k), as many as there are."""
    normal = torch.distributions.Normal(0.0, 1.0)
    clouds = [
        jko.Particles(1.2**-k * normal.icdf((torch.arange(size).double() + 0.5) / size)[:, None])
        for k, size in enumerate((90, 70, 80))
    ]
    found = fit(clouds, Monomials(2), tau=0.2)
    assert found.coefficients[1] == pytest.approx(0.5, abs=0.02)
    split = [
        jko.Particles(torch.cat([x, x]), torch.cat([0.25 * m, 0.75 * m]))
        for x, m in ((c.points, c.weights) for c in clouds)
    ]
    assert fit(split, Monomials(2), tau=0.2).coefficients == pytest.approx(found.coefficients)


def test_several_features_and_ridge_are_the_normal_equations():
    clouds = explicit(styblinski_tang, 2)[:2]
    bumps = Bumps(torch.tensor([[0.0, 0.0], [1.0, 1.0], [-1.0, 0.5]]).double(), 0.9)
    found = fit(clouds, [Monomials(1), bumps], tau=TAU, scheme="explicit", ridge=0.1)
    x = clouds[0]
    right = jko.Potential(styblinski_tang).gradient(jko.Particles(x))
    apart = x[:, None] - bumps.centres
    slopes = torch.cat(
        [torch.eye(2).double().expand(N, 2, 2), -apart / 0.81 * bumps(x)[:, :, None]], dim=1
    )
    A = slopes.permute(0, 2, 1).reshape(-1, 5).numpy() / math.sqrt(N)
    b = right.reshape(-1).numpy() / math.sqrt(N)
    c = np.linalg.solve(A.T @ A + 0.1 * np.eye(5), A.T @ b)
    assert found.coefficients == pytest.approx(c, rel=1e-10)
    left = np.linalg.norm(A @ c - b) / np.linalg.norm(b)
    assert found.residual == pytest.approx(left, rel=1e-10)
    assert np.isnan(found.held_out).all()


def test_features_that_repeat_change_no_potential():
    clouds = explicit(styblinski_tang, 1)
    once, twice = (
        fit(clouds, features, tau=TAU, scheme="explicit")
        for features in (Monomials(4), [Monomials(4), Monomials(2)])
    )
    assert twice.condition > 1e12 > once.condition
    mu = jko.Particles(start(1))
    assert torch.allclose(once.potential.gradient(mu), twice.potential.gradient(mu))


def test_held_out_is_the_fit_without_that_transition():
    clouds = implicit(holder_table, 2)
    found = fit(clouds, Monomials(4), tau=TAU)
    last = fit(clouds[:-1], Monomials(4), tau=TAU)
    x = clouds[-1]
    plan = jko.distance(jko.Particles(clouds[-2]), jko.Particles(x)).plan
    v = (x - torch.from_numpy(plan.transposed.barycentres(clouds[-2].numpy()))) / TAU
    missed = (v + last.potential.gradient(jko.Particles(x))).norm() / v.norm()
    assert found.held_out[-1] == pytest.approx(float(missed), rel=1e-9)


def test_monomials_are_all_products():
    x = torch.rand(4, 3, dtype=torch.float64)
    assert Monomials(3)(x).shape == (4, math.comb(6, 3) - 1)
    assert torch.equal(Monomials(3)(x)[:, -1], x[:, 2] ** 3)


ONE, TWO = [[0.0], [1.0]], [[0.5], [2.0]]


@pytest.mark.parametrize(
    ("ask", "error_", "sentence"),
    [
        (lambda: fit([ONE], Monomials(1), tau=1.0), ValueError, "1 snapshots"),
        (lambda: fit([ONE, [[1.0, 2.0]]], Monomials(1), tau=1.0), ValueError, "dimension 2"),
        (lambda: fit([ONE, ONE], Monomials(1), tau=1.0), ValueError, "0 and 1 are the same"),
        (lambda: fit([ONE, TWO], Monomials(1), tau=0.0), ValueError, "tau = 0"),
        (lambda: fit([ONE, TWO], Monomials(1), tau=1.0, ridge=-1), ValueError, "ridge = -1"),
        (lambda: fit([ONE, TWO], Monomials(1), tau=1.0, scheme="x"), ValueError, "scheme = 'x'"),
        (lambda: fit([ONE, TWO], lambda x: x[:, 0], tau=1.0), ValueError, r"shape \(2,\)"),
        (lambda: fit([ONE, TWO], lambda x: 1 + 0 * x, tau=1.0), ValueError, "constant"),
        (lambda: fit([ONE, TWO], 3, tau=1.0), TypeError, "features must be a list"),
        (lambda: fit([ONE, TWO], [3], tau=1.0), TypeError, "features must be callable"),
        (lambda: Monomials(0), ValueError, "degree = 0"),
        (lambda: Bumps([[0.0]], 0.0), ValueError, "bandwidth = 0"),
        (
            lambda: fit([ONE, TWO], lambda x: x.detach() ** 2, tau=1.0),
            ValueError,
            "no derivative that torch knows",
        ),
    ],
)
def test_a_bad_argument_is_a_sentence(ask, error_, sentence):
    with pytest.raises(error_, match=sentence):
        ask()
