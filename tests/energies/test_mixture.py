"""Sums of internal energies: the conjugate, the density of a price, and the forms in log rho."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

import jko
from jko.energies import Internal, Mixture


@dataclass(frozen=True)
class Tsallis(Internal):
    """``(rho^q - rho) / (q - 1)``, as somebody who reads the contract would write it."""

    q: float

    def U(self, rho):
        return (rho**self.q - rho) / (self.q - 1)

    def slope(self, rho):
        return (self.q * rho ** (self.q - 1) - 1) / (self.q - 1)

    def density(self, p):
        base = ((self.q - 1) * p + 1).clamp(min=0) / self.q
        return base ** (1 / (self.q - 1))

    def density_slope(self, p):
        base = ((self.q - 1) * p + 1).clamp(min=0) / self.q
        return torch.where(base > 0, base ** ((2 - self.q) / (self.q - 1)) / self.q, 0.0)


@dataclass(frozen=True)
class Hidden(Internal):
    """An energy behind the contract alone, so that nothing but the four functions is known of it."""

    inner: Internal

    def U(self, rho):
        return self.inner.U(rho)

    def slope(self, rho):
        return self.inner.slope(rho)

    def density(self, p):
        return self.inner.density(p)

    def density_slope(self, p):
        return self.inner.density_slope(p)


ONE = [
    jko.Entropy(),
    jko.PorousMedium(1.5),
    jko.PorousMedium(2),
    jko.PorousMedium(5),
    Tsallis(0.5),
    Tsallis(1.5),
    Tsallis(2.0),
    Hidden(jko.Entropy()),
]
coefficients = st.floats(1e-3, 1e2)
mixtures = st.lists(st.tuples(coefficients, st.sampled_from(ONE)), min_size=1, max_size=4)
logs = st.lists(st.floats(-12.0, 8.0), min_size=1, max_size=8)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def size_of(U, rho):
    """What the rounding of U' at rho is relative to."""
    return sum(c * (1 + E.slope(rho).abs()) for c, E in U.summands)


@settings(max_examples=150, deadline=None)
@given(mixtures, logs)
def test_the_density_of_the_slope_is_the_density(terms, s):
    U, rho = Mixture.of(terms), tensor(s).exp()
    p = U.slope(rho)
    apart = (U.density(p).log() - rho.log()).abs()
    assert bool((apart * U.of_log(rho.log())[1] <= 1e-13 * size_of(U, rho)).all())


@settings(max_examples=150, deadline=None)
@given(mixtures, logs, logs)
def test_fenchel_and_young_with_equality_where_p_is_the_slope(terms, s, other):
    U = Mixture.of(terms)
    n = min(len(s), len(other))
    rho, r = tensor(s[:n]).exp(), tensor(other[:n]).exp()
    p = U.slope(rho)
    star = U.conjugate(p).value
    scale = 1e-13 * (size_of(U, rho) * (rho + r) + U.U(rho).abs() + U.U(r).abs())
    assert bool(((star + U.U(rho) - p * rho).abs() <= scale).all())
    assert bool((star + U.U(r) - p * r >= -scale).all())


@settings(max_examples=60, deadline=None)
@given(mixtures.filter(lambda terms: len(terms) > 1), st.floats(-8.0, 6.0))
def test_the_root_is_that_of_brentq(terms, s):
    U = Mixture.of(terms)
    p = float(U.slope(tensor([s]).exp()))

    def excess(x):
        return float(U.slope(tensor([x]).exp())) - p

    found = float(U.log_density(tensor([p])))
    reference = brentq(excess, s - 1, s + 1, xtol=1e-14, rtol=1e-14)
    steep = float(U.of_log(tensor([s]))[1])
    noise = 1e-14 * float(size_of(U, tensor([s]).exp())) / steep
    assert abs(found - reference) <= 1e-11 + 10 * noise


@settings(max_examples=100, deadline=None)
@given(mixtures, logs)
def test_derivatives_are_the_differences(terms, s):
    U, s = Mixture.of(terms), tensor(s)
    rho, h = s.exp(), 1e-4
    slope, rise = U.of_log(s)
    torch.testing.assert_close(
        slope, U.slope(rho), rtol=1e-11, atol=1e-11 * float(slope.abs().max())
    )
    ahead, behind = U.of_log(s + h)[0], U.of_log(s - h)[0]
    near = 1e-6 * rise + 1e-11 * size_of(U, rho) / h
    assert bool(((ahead - behind) / (2 * h) - rise).abs().le(near).all())
    torch.testing.assert_close(rho * U.stiffness(rho), rise, rtol=1e-6, atol=1e-9)
    P = U.pressure(rho)
    assert bool((P - (rho * U.slope(rho) - U.U(rho))).abs().le(1e-13 * rho * size_of(U, rho)).all())


MIX = Mixture(((0.05, jko.Entropy()), (0.1, jko.PorousMedium(2)), (0.02, jko.PorousMedium(4))))
POROUS = Mixture(((0.3, jko.PorousMedium(1.5)), (0.1, jko.PorousMedium(3))))


@pytest.mark.parametrize("mixture", [MIX, POROUS], ids=["with entropy", "without"])
def test_the_density_of_a_sum_has_the_pressure_it_was_asked_for(mixture):
    p = torch.linspace(-3.0, 30.0, 40, dtype=torch.float64)
    rho = mixture.density(p)
    zero = torch.zeros(1, dtype=torch.float64)
    full = p > mixture.slope(zero)
    assert not rho[~full].any()
    assert torch.allclose(mixture.slope(rho[full]), p[full], rtol=1e-13, atol=1e-13)
    for i in (20, 35):
        root = brentq(
            lambda r, i=i: float(mixture.slope(torch.tensor([r], dtype=torch.float64)) - p[i]),
            1e-9,
            1e3,
        )
        assert float(rho[i]) == pytest.approx(root, rel=1e-8)
        best = minimize_scalar(
            lambda r, i=i: float(mixture.U(torch.tensor([r], dtype=torch.float64)) - p[i] * r),
            bounds=(0, 1e2),
            method="bounded",
            options={"xatol": 1e-10},
        )
        assert float(mixture.conjugate(p).value[i]) == pytest.approx(-best.fun, rel=1e-9)
    h = 1e-6
    slope = (mixture.density(p + h) - mixture.density(p - h)) / (2 * h)
    inner = (p - mixture.slope(zero)).abs() > 0.1
    assert torch.allclose(mixture.density_slope(p)[inner], slope[inner], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("q", [0.5, 1.5, 2.0])
def test_an_energy_of_the_user_with_an_entropy_takes_few_sweeps(q, monkeypatch):
    U, sweeps = Mixture.of([(0.1, jko.Entropy()), (1.0, Tsallis(q))]), []
    original = Mixture.of_log
    monkeypatch.setattr(Mixture, "of_log", lambda self, s: (sweeps.append(1), original(self, s))[1])
    p = torch.linspace(-20, 3, 400, dtype=torch.float64)
    rho = U.density(p)
    assert len(sweeps) <= 14
    back = U.slope(rho)
    full = rho > 1e-200
    assert bool((back - p)[full].abs().le(1e-13 * size_of(U, rho)[full]).all())


def test_equal_energies_are_one():
    U = Mixture.of([(1.0, jko.Entropy()), (0.5, jko.PorousMedium(2)), (2.0, jko.Entropy())])
    assert U.summands == ((3.0, jko.Entropy()), (0.5, jko.PorousMedium(2)))
    assert U.terms == U.summands


def test_a_mixture_is_an_energy_of_densities():
    grid = jko.Grid((0.0, 2.0), 4)
    rho = jko.GridDensity(grid, [0.1, 0.4, 0.6, 0.9])
    energy = 0.1 * jko.Entropy() + jko.PorousMedium(3)
    U = Mixture.of(energy.terms)
    assert float(U(rho)) == pytest.approx(float(energy(rho)), rel=1e-15)
    torch.testing.assert_close(U.variation(rho), energy.variation(rho), rtol=1e-15, atol=0)


def test_where_there_is_nothing_to_find():
    none = Mixture.of([])
    p = tensor([-1.0, 0.0, 2.0])
    star = none.conjugate(p)
    assert star.value.tolist() == [0.0, 0.0, torch.inf]
    assert star.density.tolist() == none.density(p).tolist() == [0.0, 0.0, 0.0]
    powers = Mixture.of([(1.0, jko.PorousMedium(2)), (1.0, jko.PorousMedium(3))])
    assert powers.conjugate(tensor([-torch.inf, -1.0, 0.0])).value.tolist() == [0.0, 0.0, 0.0]
    heat = Mixture.of([(1.0, jko.PorousMedium(2)), (1.0, jko.Entropy())])
    value, rho, slope = heat.conjugate(tensor([-torch.inf, -5e3, torch.nan]))
    assert rho[:2].tolist() == value[:2].tolist() == slope[:2].tolist() == [0.0, 0.0]
    assert bool(heat.log_density(p).isfinite().all())
    assert float(heat.log_density(tensor([-5e3]))) == pytest.approx(-5001.0, rel=1e-12)
    assert bool(heat.log_density(tensor([torch.nan])).isnan())


def test_in_single_precision_the_root_is_that_of_double():
    U = Mixture.of([(0.1, jko.Entropy()), (1.0, jko.PorousMedium(2))])
    p = torch.linspace(-2, 20, 50)
    torch.testing.assert_close(U.density(p).double(), U.density(p.double()), rtol=2e-5, atol=1e-9)
