"""The constants of the proved lower bounds: sound on instances of every kind, and sharp where they are attained.

Everything is held against c_g and psi written out here: sampled derivatives, fine grids in boxes, and instances in
which a bound is attained to the next order of the Taylor series, so that no constant in it can be smaller or larger.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import jko
from jko.duality.branching import Balls, _bounds, _first_boxes, branch_and_bound
from jko.duality.envelope import Envelope
from jko.duality.minima import Minima
from jko.duality.minorant import Minorant
from jko.duality.reduced import ReducedEnvelope
from jko.duality.slopes import BUMP, RIDGE, Slopes

F64 = torch.float64
FREE = (-math.inf, math.inf)
TURN = math.atanh(3**-0.5)  # where |tanh''| is largest, and tanh''' zero
BEND = (3 - 6**0.5) ** 0.5  # where the third derivative of exp(-t^2/2) is largest


def directional(f, at, u):
    """f and its first three derivatives along u, at points (b, d): four tensors (b,), by autograd."""
    t = torch.zeros(len(at), dtype=F64, requires_grad=True)
    out = [f(at + t[:, None] * u)]
    for _ in range(3):
        out.append(torch.autograd.grad(out[-1].sum(), t, create_graph=True)[0])
    return [values.detach() for values in out]


@dataclass(frozen=True)
class Instance:
    """One problem psi in theta, written out: c = sum_m p_m h(theta, x_m), w in [low, high] chosen best."""

    kind: str  # tanh, sigmoid, or bump
    x: torch.Tensor
    p: torch.Tensor
    k: float = 1.0
    a: float = 0.0
    beta: tuple[float, ...] = (0.0, 0.0)
    constant: float = 0.0
    w: tuple[float, float] = FREE
    width: float = 1.0

    def charge(self, theta):
        """c at theta (b, d)."""
        if self.kind == "bump":
            square = ((theta[:, None] - self.x) ** 2).sum(-1)
            return torch.exp(-square / (2 * self.width**2)) @ self.p
        s = theta[:, :-1] @ self.x.T + theta[:, -1:]
        return (torch.tanh(s) if self.kind == "tanh" else 1 / (1 + torch.exp(-s))) @ self.p

    def psi(self, theta):
        """The least value over w, at theta (b, d)."""
        c, (low, high) = self.charge(theta), self.w
        ends = [e for e in (low, high) if math.isfinite(e)]
        tried = [torch.full_like(c, e) for e in ends] + [
            ((self.a - c) / self.k).clamp(low, high) if self.k > 0 else torch.full_like(c, ends[0])
        ]
        v = torch.stack([w * c + self.k * w**2 / 2 - self.a * w for w in tried]).amin(0)
        beta = torch.tensor(self.beta, dtype=F64)
        return v + self.k / 2 * (theta**2).sum(1) - theta @ beta + self.constant

    @property
    def slopes(self):
        """The library's bounds for it."""
        h = {
            "bump": jko.GaussianBump(self.width),
            "tanh": jko.Ridge(torch.tanh),
            "sigmoid": jko.Ridge(torch.sigmoid),
        }[self.kind]
        M = len(self.p)
        risk = jko.Risk(
            jko.Data(self.x, torch.zeros(M, dtype=F64), torch.ones(M, dtype=F64)), activation=h
        )
        return Slopes.of(Minorant.of(risk, jko.Particles([[0.0, 0.0, 0.0]])), self.p)

    @property
    def reduced(self):
        """The library's psi."""
        one, beta = torch.ones(1, dtype=F64), torch.tensor([self.beta], dtype=F64)
        numbers = self.a * one, beta, self.constant * one, self.w[0] * one, self.w[1] * one
        return ReducedEnvelope(self.slopes, None, self.k, torch.tensor([0]), *numbers)

    def lower(self, centre, half):
        """The library's lower bounds in boxes (b, 2)."""
        return _bounds(self.reduced, torch.zeros(len(centre), dtype=torch.int64), centre, half)


def datum(kind="tanh", **options) -> Instance:
    """One datum: ridges in s = theta_1 + theta_2, a bump around zero."""
    x = [[0.0, 0.0]] if kind == "bump" else [[1.0]]
    return Instance(kind, torch.tensor(x, dtype=F64), torch.ones(1, dtype=F64), **options)


def drawn(generator, kind, M=3) -> Instance:
    """Random data and coefficients, over several orders of magnitude."""

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=F64)

    low, high = sorted((2 * normal(2)).tolist())
    w = [FREE, (low, high), (low, low)][int(torch.randint(3, (1,), generator=generator))]
    size = float(10 ** normal(1))
    return Instance(
        kind,
        normal(M, 2 if kind == "bump" else 1),
        size * normal(M),
        k=float(10 ** (0.7 * normal(1))),
        a=float(3 * normal(1)),
        beta=tuple((2 * normal(2)).tolist()),
        constant=float(normal(1)),
        w=w,
        width=float(torch.exp(0.5 * normal(1))) if kind == "bump" else 1.0,
    )


KINDS = ("tanh", "sigmoid", "bump")


# --- slopes.py: bounds on the derivatives of c ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "bump"])
def test_the_suprema_of_three_derivatives_are_right_to_six_digits(name):
    t = torch.cat([torch.linspace(-8, 8, 400_001, dtype=F64), torch.tensor([-40.0, 40.0])])
    f = {
        "tanh": torch.tanh,
        "sigmoid": lambda s: 1 / (1 + torch.exp(-s)),
        "bump": lambda s: torch.exp(-(s**2) / 2),
    }[name]
    constants = BUMP if name == "bump" else RIDGE[getattr(torch, name)]
    found = directional(lambda z: f(z[:, 0]), t[:, None], torch.ones(1, dtype=F64))
    for sup, constant in zip((d.abs().max() for d in found), constants, strict=True):
        assert sup <= constant * (1 + 1e-12)
        assert constant <= sup * (1 + 2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_no_derivative_of_c_exceeds_its_bound_anywhere_or_in_a_box(kind, generator):
    for _ in range(60):
        case = drawn(generator, kind)
        half = 10 ** (torch.rand(1, 2, generator=generator, dtype=F64) * 3 - 2.5)
        centre = 2 * torch.randn(1, 2, generator=generator, dtype=F64)
        inside = centre + half * (2 * torch.rand(300, 2, generator=generator, dtype=F64) - 1)
        u = torch.randn(300, 2, generator=generator, dtype=F64)
        c, *found = directional(case.charge, inside, u / u.norm(dim=1, keepdim=True))
        slopes = case.slopes
        near = slopes.near(centre, half)
        assert float(c.abs().max()) <= slopes.everywhere[0] * (1 + 1e-12)
        for local, everywhere, values in zip(near, slopes.everywhere[1:], found, strict=True):
            assert float(values.abs().max()) <= float(local) * (1 + 1e-12)
            assert float(local) <= everywhere * (1 + 1e-15)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [0.5, 3.0])
def test_bounds_everywhere_are_attained_by_equal_data(kind, width):
    p, x = torch.tensor([0.7, 1.3], dtype=F64), [[0.3, -2.0]] if kind == "bump" else [[-2.0]]
    case = Instance(kind, torch.tensor(x * 2, dtype=F64), p, width=width)
    t = torch.linspace(-40, 40, 400_001, dtype=F64)[:, None]
    along = torch.tensor([[0.6, 0.8]] if kind == "bump" else [[-2.0, 1.0]], dtype=F64)
    along = along / along.norm()
    start = case.x[:1] if kind == "bump" else torch.zeros(1, 2, dtype=F64)
    found = directional(case.charge, start + t * along, along)
    for values, bound in zip(found, case.slopes.everywhere, strict=True):
        assert float(values.abs().max()) == pytest.approx(bound, rel=1e-5)


def test_two_risks_add_their_bounds():
    parts = [datum("tanh").slopes.parts[0], datum("bump").slopes.parts[0]]
    x = [jko.Data(part[1], [0.0], [1.0]) for part in parts]
    energy = jko.Risk(x[0], activation=parts[0][0]) + jko.Risk(x[1], activation=parts[1][0])
    minorant = Minorant.of(energy, jko.Particles([[0.0, 0.0, 0.0]]))
    both = Slopes.of(minorant, torch.tensor([1.0, -2.0], dtype=F64))
    single = [datum("tanh").slopes.everywhere, datum("bump").slopes.everywhere]
    assert both.everywhere == pytest.approx([a + 2 * b for a, b in zip(*single, strict=True)])
    theta = torch.tensor([[0.3, -0.4]], dtype=F64)
    here = [s.near(theta, 0 * theta + 0.1) for s in (both, datum("tanh").slopes)]
    for total, first, second in zip(*here, single[1][1:], strict=True):
        assert float(total) == pytest.approx(float(first) + 2 * second)


@pytest.mark.parametrize("kind", ["tanh", "sigmoid"])
def test_bounds_in_a_box_are_those_of_its_least_argument(kind):
    """One datum, |(x, 1)|^2 = 2: exact for the slope, and for the others where tanh is nearly one or at its bend."""
    scale, case = (1.0, datum("tanh")) if kind == "tanh" else (0.5, datum("sigmoid"))
    u = torch.tensor([[1.0, 1.0]], dtype=F64) / 2**0.5

    def ratio(s, order, half=0.0):
        """Bound over the largest derivative in the box with arguments s - 2 half ... s + 2 half."""
        centre = torch.full((1, 2), s / scale / 2, dtype=F64)
        t = torch.linspace(-1, 1, 2001, dtype=F64)[:, None]
        found = directional(case.charge, centre + half / scale * t, u)[order]
        bound = case.slopes.near(centre, torch.full((1, 2), half / scale, dtype=F64))[order - 1]
        return float(bound / found.abs().max())

    for s in (-4.0, -0.3, 0.0, 1.0, 4.0):
        assert ratio(s, 1) == pytest.approx(1, abs=1e-12)
    assert ratio(2.0, 1, half=0.4) == pytest.approx(1, abs=1e-12)
    assert ratio(0.5, 1, half=0.4) == pytest.approx(1, abs=1e-12)  # zero is inside
    for s in (-5.0, 5.0):
        assert ratio(s, 2) == pytest.approx(1, abs=1e-3)
        assert ratio(s, 3) == pytest.approx(1, abs=1e-3)
    assert ratio(TURN, 2) == pytest.approx(1, abs=1e-5)
    assert ratio(0.0, 3) == pytest.approx(1, abs=1e-12)


# --- reduced.py: psi and its derivatives ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_psi_its_gradient_and_its_hessian_are_those_of_the_best_w(kind, generator):
    """The Hessian is exact where w is free or fixed; where w may be at a bound it is a lower bound, and attained."""
    e = 1e-4
    for _ in range(40):
        case = drawn(generator, kind)
        theta = torch.randn(20, 2, generator=generator, dtype=F64)
        value, gradient, least, w, c, slope = case.reduced.psi(theta, torch.zeros(20).long())
        size = 1 + float(value.abs().max())
        torch.testing.assert_close(value, case.psi(theta), rtol=0, atol=1e-13 * size)
        torch.testing.assert_close(c, case.charge(theta))
        steps = e * torch.eye(2, dtype=F64)
        for j in range(2):
            rise = (case.charge(theta + steps[j]) - case.charge(theta - steps[j])) / (2 * e)
            torch.testing.assert_close(slope[:, j], rise, rtol=1e-5, atol=1e-5)
        free = case.w[0] == -math.inf
        if not free and case.w[0] < case.w[1]:
            inside = (w > case.w[0]) & (w < case.w[1])
            theta, gradient, least = theta[inside], gradient[inside], least[inside]
        ahead, behind = (
            torch.stack([case.psi(theta + s * step) for step in steps], 1) for s in (1, -1)
        )
        near = {"rtol": 1e-4, "atol": 1e-6 * size}
        torch.testing.assert_close((ahead - behind) / (2 * e), gradient, **near)
        u = torch.randn(len(theta), 2, generator=generator, dtype=F64)
        second = directional(case.psi, theta, u)[2]
        torch.testing.assert_close(torch.einsum("bi,bij,bj->b", u, least, u), second, **near)


def test_give_is_the_curvature_of_v():
    """v(c) = -(a - c)^2 / 2k for a free w: v'' = -1/k; for a fixed w v is linear."""
    for k in (0.2, 1.0, 7.0):
        assert float(datum(k=k).reduced.give) == pytest.approx(1 / k)
        assert float(datum(k=k, w=(-1.0, 4.0)).reduced.give) == pytest.approx(1 / k)
        assert float(datum(k=k, w=(2.0, 2.0)).reduced.give) == 0
    assert float(datum(k=0.0, w=(2.0, 2.0)).reduced.give) == 0


def test_the_bound_on_the_third_derivative_is_attained_by_a_cube():
    """c = s^3, w free, a = 0: D^3 psi = -(3 c' c'' + c c''') / k = -60 s^3 / k; with w fixed, w c''' = 6 w."""
    s, zero = torch.tensor([1.7], dtype=F64), torch.tensor([0])
    bounds = 3 * s**2, 6 * s, torch.full_like(s, 6.0)
    for k in (0.5, 3.0):
        assert float(datum(k=k).reduced.third(zero, 0 * s, s**3, bounds)) == pytest.approx(
            60 * 1.7**3 / k
        )
        fixed = datum(k=k, w=(-2.0, -2.0)).reduced
        assert float(fixed.third(zero, 0 * s - 2, s**3, bounds)) == pytest.approx(12)
    w = torch.tensor([-4.0], dtype=F64)  # at another a the value of w at zero joins in
    assert float(datum(k=2.0).reduced.third(zero, w, s**3, bounds)) == pytest.approx(
        30 * 1.7**3 + 24
    )


def test_reach_is_the_largest_w_that_any_charge_asks_for():
    zero, C = torch.tensor([0]), torch.tensor([2.0], dtype=F64)
    assert float(datum(a=3.0, k=2.0).reduced.reach(C, zero)) == pytest.approx(2.5)  # at c = -2
    assert float(datum(a=-3.0, k=2.0).reduced.reach(C, zero)) == pytest.approx(2.5)  # at c = 2
    assert float(datum(a=3.0, k=2.0, w=(-1.0, 1.5)).reduced.reach(C, zero)) == pytest.approx(1.5)


@pytest.mark.parametrize(
    "domain", [None, jko.Box([-0.4, -1.0], [0.7, 1.5]), jko.Ball([0.0, 0.0], 0.8)]
)
def test_below_is_the_minimum_of_the_quadratic_over_the_domain(domain, generator):
    reduced = replace(datum().reduced, domain=domain)
    axis = torch.linspace(-4, 4, 801, dtype=F64)
    z = torch.cartesian_prod(axis, axis)
    z = z if domain is None else z[domain.distance(z) <= 0]
    for _ in range(10):
        theta = 0.3 * torch.randn(1, 2, generator=generator, dtype=F64)
        slope, k = torch.randn(1, 2, generator=generator, dtype=F64), torch.tensor([0.8], dtype=F64)
        quadratic = 1.5 + (z - theta) @ slope[0] + 0.5 * k * ((z - theta) ** 2).sum(1)
        bound = float(reduced.below(theta, 1.5 + 0 * k, slope, k))
        assert bound <= float(quadratic.min()) + 1e-12
        assert bound == pytest.approx(float(quadratic.min()), abs=0.03)


def envelope_of(tau, lam, domain=None, activation=None) -> tuple[Envelope, torch.Tensor]:
    """An envelope of three atoms with its prices."""
    x = torch.linspace(-1, 1, 5, dtype=F64)[:, None]
    risk = jko.Risk(jko.Data(x, x[:, 0]), activation=activation or jko.Ridge(torch.tanh))
    generator = torch.Generator().manual_seed(2)
    mu = jko.Particles.normal(3, 3, generator=generator)
    energy = risk + lam * jko.SquaredNorm() if lam else risk
    minorant = Minorant.of(energy, mu)
    rate = 0.0 if tau is None else 1 / tau
    return Envelope(minorant, mu.points, rate, domain, mu.points), 3 * minorant.residual


@pytest.mark.parametrize(
    ("tau", "lam", "domain"),
    [
        (0.7, 0.3, None),
        (5.0, 0.0, None),
        (None, 0.4, None),
        (2.0, 0.1, jko.Box([-0.6, -2.0, -2.0], [0.9, 2.0, 2.0])),
        (None, 0.0, jko.Box([-0.6, -2.0, -2.0], [0.9, 2.0, 2.0])),
    ],
)
def test_the_reduced_problem_is_the_envelope_with_the_best_w(tau, lam, domain, generator):
    envelope, g = envelope_of(tau, lam, domain)
    reduced = ReducedEnvelope.of(envelope, Slopes.of(envelope.minorant, g))
    theta = torch.randn(4, 2, generator=generator, dtype=F64)
    w = (
        torch.linspace(-40, 40, 80001, dtype=F64)
        if domain is None
        else torch.linspace(-0.6, 0.9, 2001, dtype=F64)
    )
    for block in range(3):
        rows = torch.nonzero(reduced.block == block).flatten()
        for point in theta:
            z = torch.cat([w[:, None], point.expand(len(w), 2)], 1)
            direct = envelope.value(g, z, torch.full((len(w),), block)).min()
            found = reduced.psi(point.expand(len(rows), 2), rows)[0].min()
            assert float(found) == pytest.approx(float(direct), abs=2e-6)
            assert float(found) <= float(direct) + 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_where_strong_convexity_is_claimed_no_hessian_is_negative(kind):
    """At the least k for which it is claimed, for charges from none to many: the sup norms may nearly be attained."""
    u = torch.tensor(
        [[0.5**0.5, 0.5**0.5]], dtype=F64
    )  # of the datum; by symmetry a line is enough for the bump
    theta = torch.linspace(-4, 4, 2001, dtype=F64)[:, None] * u

    def claimed(case):
        z = torch.zeros(1, 3, dtype=F64)
        one = torch.zeros(1, dtype=F64)
        return bool(case.reduced.strongly_convex(Minima(z, torch.tensor([0]), one, one))[1])

    def least(case):
        """The least second derivative, along the line and across."""
        found = [directional(case.psi, theta, v)[2] for v in (u, u * torch.tensor([[1.0, -1.0]]))]
        return float(torch.stack(found).min())

    ratios = []
    for a in (0.0, 0.3, 3.0, 300.0, -300.0):
        case, low, high = datum(kind, a=a), 1e-3, 1e3
        for _ in range(60):
            k = (low * high) ** 0.5
            low, high = (low, k) if claimed(replace(case, k=k)) else (k, high)
        assert claimed(replace(case, k=1.0001 * high))
        assert least(replace(case, k=high)) > 0
        shrunk = high
        while least(replace(case, k=shrunk)) > 0 and shrunk > high / 3:
            shrunk *= 0.99
        ratios.append(shrunk / high)
    assert max(ratios) > 0.98  # with a large charge the bound is nearly the truth
    assert min(ratios) > 0.45


# --- branching.py: lower bounds in boxes ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_in_boxes_are_below_every_value_on_a_fine_grid(kind, generator):
    axis = torch.linspace(-1, 1, 31, dtype=F64)
    unit = torch.cartesian_prod(axis, axis)
    for _ in range(40):
        case = drawn(generator, kind)
        centre = 1.5 * torch.randn(10, 2, generator=generator, dtype=F64)
        half = 10 ** (torch.rand(10, 2, generator=generator, dtype=F64) * 2.5 - 2)
        lower, value = case.lower(centre, half)
        torch.testing.assert_close(value, case.psi(centre))
        inside = centre[:, None] + half[:, None] * unit
        grid = case.psi(inside.flatten(0, 1)).view(10, -1)
        assert bool((lower <= grid.amin(1) + 1e-12 * (1 + grid.abs().amax(1))).all())


def corner(case, s, delta):
    """Lower bound in the box that reaches from arguments s to s + delta, and psi at its far corner, which pulls."""
    step = torch.full((1, 2), delta / 2, dtype=F64)
    centre = torch.full((1, 2), s / 2, dtype=F64)
    gradient = case.reduced.psi(centre, torch.tensor([0]))[1][0]
    pulled = replace(case, beta=tuple((gradient + torch.tensor(case.beta) + 50.0).tolist()))
    lower, _ = pulled.lower(centre, step)
    return float(pulled.psi(centre + step) - lower), delta


@pytest.mark.parametrize("k", [0.4, 3.0])
@pytest.mark.parametrize("w", [1.0, 20.0])
def test_the_second_order_bound_is_attained_where_the_third_derivative_is_largest(k, w):
    """w fixed, tanh at zero: ``tanh s = s - s^3/3 + ...`` and the bound differ by 2 s^5/15; the sigmoid alike."""
    gap, s = corner(datum("tanh", k=k, w=(w, w)), 0.0, 0.04)
    assert -1e-12 <= gap <= 2e-3 * w * s**3 / 3
    gap, s = corner(datum("sigmoid", k=k, w=(w, w)), 0.0, 0.08)
    assert -1e-12 <= gap <= 2e-3 * w * s**3 / 48


def test_the_second_order_bound_is_attained_by_a_bump():
    """w fixed and negative, centre where the third derivative is largest, along the axis of least curvature."""
    centre = BEND * 2**0.5  # on the diagonal: |theta| = BEND
    gap, delta = corner(datum("bump", k=2.0, w=(-1.0, -1.0)), centre, 0.02)
    third = BUMP[3] * (delta / 2**0.5) ** 3 / 6
    assert -1e-12 <= gap <= 0.03 * third


@pytest.mark.parametrize("k", [1.0, 3.0])
def test_the_second_order_bound_is_attained_where_v_bends(k):
    """w free and nearly zero at the bend of tanh, where tanh''' = 0: D^3 psi = -3 c' c'' / k alone."""
    small = 0.01
    case = datum("tanh", k=k, a=math.tanh(-TURN) + k * small)
    gap, s = corner(case, -TURN, 0.01)
    cubic = 3 / k * (2 / 3) * RIDGE[torch.tanh][2] * s**3 / 6
    assert -1e-12 <= gap <= 0.1 * cubic + small * 2 * s**3 / 6


@pytest.mark.parametrize("p", [1.0, -1.0])
def test_the_range_bound_is_attained_at_the_bend_and_where_the_slope_is_largest(p):
    """w about 10 pushes c to an end of its range: to second order at the bend, by the sup of the slope at zero.

    With p < 0 that is the lower end, with p > 0 the upper one.
    """
    for s, delta, loss in ((-TURN, 0.02, 0.05), (0.0, 0.05, 0.4)):
        case = replace(datum("tanh", a=p * (math.tanh(s) - 10.0)), p=torch.tensor([p], dtype=F64))
        gap, _ = corner(case, s, delta)
        assert -1e-12 <= gap <= 10 * loss * delta**3


def test_the_range_bound_ends_at_the_sup_of_the_charge():
    """A box so large that c is anything in [-1, 1], and its far corner has c = 1."""
    for kind, w in (("tanh", -3.0), ("sigmoid", -3.0), ("tanh", 3.0)):
        sign = -1.0 if w > 0 else 1.0  # the corner that makes w c small
        case = datum(kind, k=1e-3, w=(w, w))
        centre, half = torch.zeros(1, 2, dtype=F64), torch.full((1, 2), 200.0, dtype=F64)
        case = replace(case, beta=(sign, sign))
        lower, _ = case.lower(centre, half)
        assert float(case.psi(sign * half) - lower) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_no_point_below_the_known_value_is_outside_of_the_first_box(kind, generator):
    """And with c at the end of its range the box is attained: psi is then the quadratic part and a constant."""
    axis = torch.linspace(-30, 30, 401, dtype=F64)
    theta = torch.cartesian_prod(axis, axis)
    for _ in range(15):
        case = drawn(generator, kind)
        values = case.psi(theta)
        for level in (0.001, 0.05, 0.3):
            best = values.quantile(level)[None]
            _, centre, half = _first_boxes(case.reduced, best)
            below = theta[values <= best]
            assert bool(((below - centre).abs() <= half + 1e-9).all())
    case = datum("tanh", k=0.5, w=(-2.0, -2.0), beta=(0.3, 0.3), constant=0.7)
    along = torch.linspace(0, 60, 60001, dtype=F64)[:, None].expand(-1, 2)
    best = torch.tensor([40.0], dtype=F64)
    _, centre, half = _first_boxes(case.reduced, best)
    reached = along[case.psi(along) <= best][-1]  # the sublevel set is a ball around beta / k
    radius = float((reached - centre[0]).norm())
    assert radius == pytest.approx(float(half[0, 0]), rel=1e-4)


@pytest.mark.parametrize("charge", ["bend", "cube"])
def test_psi_is_convex_in_the_balls_where_that_is_claimed(charge):
    """One datum with a minimiser where the third derivative is largest, its curvature from small to large.

    In a ball psi is at least ``psi* + .1 eigen |d|^2 / 2``, and never below the floor; four balls that are as large as
    the powers of 4 allow are nearly as large as they may be.
    """
    shares = []
    for eigen in np.geomspace(1e-3, 4e-3, 33):
        if charge == "cube":  # w fixed at 1, s = 0: tanh'' = 0, so that k is the eigenvalue
            case, s = datum("tanh", k=float(eigen), w=(1.0, 1.0)), 0.0
            sharp = 2 * 2**1.5
        else:  # w = 0 at the bend: k - (2/3)^2 |(x, 1)|^2 / k = eigen
            slope = 2 / 3 * 2**0.5
            k = float(eigen / 2 + (eigen**2 / 4 + slope**2) ** 0.5)
            case, s = datum("tanh", k=k, a=math.tanh(-TURN)), -TURN
            sharp = 3 / k * slope * RIDGE[torch.tanh][2] * 2
        theta = torch.full((1, 2), s / 2, dtype=F64)
        gradient = case.reduced.psi(theta, torch.tensor([0]))[1][0]
        case = replace(case, beta=tuple((gradient + torch.tensor(case.beta)).tolist()))
        value = case.psi(theta)
        point = torch.cat([torch.zeros(1, 1, dtype=F64), theta], 1)
        balls = Balls.around(case.reduced, Minima(point, torch.tensor([0]), value, value))
        r = float(balls.radius[0, 0])
        t = torch.linspace(-1, 1, 2001, dtype=F64)[:, None]
        d = r * t * torch.full((1, 2), 0.5**0.5, dtype=F64)
        here = case.psi(theta + d) - value
        assert bool((here >= 0.0999 * eigen * (d**2).sum(1) / 2 - 1e-15).all())
        assert float(balls.floor[0]) <= float((here + value).min()) + 1e-15
        shares.append(r / (2.7 * eigen / sharp))
    assert max(shares) > 0.9
    assert max(shares) <= 1 + 1e-3
    assert min(shares) > 0.2


def test_balls_contain_the_boxes_inside_of_them_only():
    one = torch.zeros(1, 4, dtype=F64)
    balls = Balls(torch.tensor([[[1.0, 2.0]] * 4], dtype=F64), one + 0.5, one[0, :1])
    zero = torch.tensor([0])

    def contains(x, y, hx, hy):
        centre, half = (torch.tensor([pair], dtype=F64) for pair in ((x, y), (hx, hy)))
        return bool(balls.contain(zero, centre, half))

    assert contains(1.0, 2.0, 0.29, 0.39)  # (.3, .4) is at distance .5
    assert not contains(1.0, 2.0, 0.31, 0.41)
    assert contains(1.2, 2.3, 0.09, 0.09)
    assert contains(0.8, 1.7, 0.09, 0.09)
    assert not contains(1.2, 2.3, 0.11, 0.11)


def settled(case, start):
    """A local minimiser of psi from ``start`` (1, 2), by scipy, with its value."""

    def slope(z):
        at = torch.tensor(z[None], dtype=F64, requires_grad=True)
        value = case.psi(at)
        return float(value.detach()), torch.autograd.grad(value.sum(), at)[0][0].numpy()

    found = minimize(slope, start[0].numpy(), jac=True, method="BFGS", options={"gtol": 1e-10})
    return torch.from_numpy(found.x)[None], torch.tensor([found.fun], dtype=F64)


@pytest.mark.parametrize("kind", KINDS)
def test_branch_and_bound_finds_what_was_missed_and_then_proves_it(kind, generator):
    """From one local minimiser after the other, until none is missed; then the bound is the grid's minimum."""
    axis = torch.linspace(-6, 6, 601, dtype=F64)
    theta, zero, misses = torch.cartesian_prod(axis, axis), torch.tensor([0]), 0
    for _ in range(8):
        case = drawn(generator, kind)
        p = (16 if kind == "sigmoid" else 4) * case.p / case.p.norm()
        case = replace(case, p=p, k=1.0, a=case.a / 3, beta=(0.3, -0.2), w=FREE)
        reduced, least = case.reduced, float(case.psi(theta).min())
        point, value = settled(case, 2 * torch.randn(1, 2, generator=generator, dtype=F64))
        for _ in range(5):
            known = Minima(torch.cat([point[:, :1], point], 1), zero, value, value)
            lowest, finished, missed = branch_and_bound(reduced, known)
            assert finished
            assert float(lowest) <= least + 1e-12
            if missed is None:
                break
            misses += 1
            assert float(case.psi(missed[0][:, 1:])) < float(value)
            point, value = settled(case, missed[0][:, 1:])
        assert float(lowest) == pytest.approx(float(value), abs=1e-10)
        assert float(lowest) >= least - 1e-2
    assert misses > 0


def test_boxes_that_are_left_undecided_prove_nothing(monkeypatch, generator):
    case = replace(drawn(generator, "bump"), k=0.05, w=FREE)
    point, value = settled(case, torch.zeros(1, 2, dtype=F64))
    known = Minima(torch.cat([point[:, :1], point], 1), torch.tensor([0]), value, value)
    monkeypatch.setattr("jko.duality.branching.BOXES", 3)
    lowest, finished, _ = branch_and_bound(case.reduced, known)
    assert not finished
    assert float(lowest) == -math.inf
