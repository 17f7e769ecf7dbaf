"""The label form solves (3.19), (3.21), (3.23): closed forms, a program by hand, ten digits; it stops at folds.

The reference problem: h = tanh(x + theta), 24 data, lam = .1, rho_0 = N(.3, .6^2) cut to [-3, 3], H_0 = 1 + .6 sin 1.3
theta, up to t = 1.5.  With the integrator at 1e-11 its energies have ten digits that do not depend on n.
"""

from math import atanh, cosh, exp, sinh, sqrt

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev as cheb
from scipy.integrate import solve_ivp

import jko
from jko.limits import Labels, chaos, chebyshev, separated, transported

SYSTEMS = {"separated": separated, "transported": transported, "chaos": chaos}
T, LAM, RTOL = 1.5, 0.1, 1e-11
X = np.linspace(-2, 2, 24)
F = 1.5 * np.sin(1.5 * X)


def h(theta, x):
    return torch.tanh(theta + x.T)


def density(at):
    return torch.exp(-0.5 * ((at[:, 0] - 0.3) / 0.6) ** 2)


def charge(at):
    return 1 + 0.6 * torch.sin(1.3 * at[:, 0])


def network() -> jko.Energy:
    return jko.Risk(jko.Data(X[:, None], F), activation=h) + LAM * jko.SquaredNorm()


def labels(n=128) -> Labels:
    return Labels.chebyshev(density, charge, (-3.0, 3.0), n)


# The reference problem


@pytest.mark.parametrize(
    ("name", "end"),
    [("chaos", 0.2173342829), ("separated", 0.2153438469), ("transported", 0.2168846200)],
)
def test_the_energies_at_the_end_have_ten_digits(name, end):
    runs = [SYSTEMS[name](network(), labels(n), t1=T, rtol=RTOL) for n in (112, 128)]
    assert runs[0].energies[0] == pytest.approx(0.297541, abs=5e-7)
    assert runs[1].energies[-1] == pytest.approx(end, abs=1e-10)
    # labels of the two n are no common points: what is left is the integrator's 1e-11
    assert abs(runs[1].energies[-1] - runs[0].energies[-1]) < 1e-11
    assert (np.diff(runs[1].energies) < 0).all()
    assert runs[1].columns["tails"].max() < 1e-8


def by_hand(name, n=96):
    """G(T) by Fejer's points, numpy's Chebyshev series and the survey's formulas; nothing of jko."""
    s = cheb.chebpts1(n)
    series = np.linalg.inv(cheb.chebvander(s, n - 1))
    along = cheb.chebvander(s, n - 2) @ cheb.chebder(series) / 3  # d/du at u = 3 s
    k = np.arange(n)
    integral = np.where(k % 2 == 0, 2 / (1 - np.where(k % 2 == 0, k, 0) ** 2.0), 0) @ series
    u = 3 * s
    mass = np.exp(-0.5 * ((u - 0.3) / 0.6) ** 2) * integral
    mass /= mass.sum()

    def parts(theta, H):
        f = np.tanh(theta[:, None] + X)
        r = (mass * H) @ f - F
        return f @ r / 24, (1 - f**2) @ r / 24, r  # N, N', f - f_mu

    def velocity(t, y):
        theta, H = y[:n], y[n:]
        N, slope, _ = parts(theta, H)
        B = (along @ H) / (along @ theta)
        p, w = N + LAM * H, -H * slope - LAM * theta  # (3.23), (3.24)
        v = -(B * N + H * slope + LAM * (H * B + theta))  # -grad [H N + lam/2 (H^2 + theta^2)]
        return np.concatenate(
            {
                "chaos": (w, -p),
                "transported": (v, -p),
                "separated": (v, v * B - p),  # H_t = -p at fixed theta
            }[name]
        )

    start = np.concatenate([u, 1 + 0.6 * np.sin(1.3 * u)])
    y = solve_ivp(velocity, (0, T), start, "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    *_, r = parts(y[:n], y[n:])
    return 0.5 * (r**2).sum() / 24 + 0.5 * LAM * mass @ (y[:n] ** 2 + y[n:] ** 2)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_energy_at_the_end_agrees_with_a_program_by_hand(name):
    run = SYSTEMS[name](network(), labels(), t1=T, rtol=RTOL)
    assert run.energies[-1] == pytest.approx(by_hand(name), abs=1e-10)


def test_the_label_form_of_3_23_is_the_flow_of_its_atoms():
    start = labels(64)
    run = chaos(network(), start, t1=T, times=[0.5], rtol=RTOL)
    atoms = jko.limits.wasserstein(network(), start.pair, t1=T, times=[0.5], rtol=RTOL)
    assert run.times.tolist() == [0, 0.5, T]
    for a, b in zip(run.states, atoms.states, strict=True):
        assert isinstance(a, jko.ChargedParticles)
        assert float((a.theta - b.theta).abs().max()) < 1e-10
        assert float((a.H - b.H).abs().max()) < 1e-10


def quartic() -> jko.Energy:
    """A potential Vbar(H, theta) that is not quadratic and couples its arguments."""
    V = jko.Potential(lambda z: 0.05 * z[:, 0] ** 4 + 0.2 * torch.cos(z[:, 1]) * z[:, 0] ** 2)
    return jko.Risk(jko.Data(X[:, None], F), activation=h) + 0.3 * V


@pytest.mark.parametrize("energy", [network(), quartic()], ids=["quadratic", "quartic"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_energy_changes_at_the_rate_of_its_formula(name, energy):
    start, dt = labels(96), 1e-3
    run = SYSTEMS[name](energy, start, t1=0.6, times=[0.5 - dt, 0.5, 0.5 + dt], rtol=1e-12)
    pair = run.states[2]
    p, w = energy.gradient(pair)[:, 0], -energy.gradient(pair)[:, 1]
    B = start.slope(pair)
    rate = {
        "separated": (w - p * B) ** 2 + p**2,  # below (3.19)
        "transported": w**2 + p**2 - p * w * B,
        "chaos": w**2 + p**2,  # Proposition 3.3
    }
    slope = (run.energies[3] - run.energies[1]) / (2 * dt)
    # G''' dt^2 / 6 with G''' of order one
    assert slope == pytest.approx(-float(pair.integrate(rate[name])), abs=1e-6)


# Closed forms: V = -w theta and H_0 = -a theta stay linear, H = B(t) theta and theta = s(t) u


def linear(a, n=8, **options) -> Labels:
    return Labels.chebyshev(
        lambda at: 1 + 0 * at[:, 0], lambda at: -a * at[:, 0], (-1.0, 1.0), n, **options
    )


SADDLE = jko.Potential(lambda z: -z[:, 0] * z[:, 1])
TWO = sqrt(2)


def closed_form(name, a, t):
    """s and B: chaos has s'' = s; separated B' = 1, s' = 2 B s; transported B' = 1 - 2 B^2, s' = 2 B s."""
    if name == "chaos":
        s = cosh(t) - a * sinh(t)
        return s, (sinh(t) - a * cosh(t)) / s
    if name == "separated":
        return exp(t * t - 2 * a * t), t - a
    c = atanh(-a * TWO)
    return cosh(TWO * t + c) / cosh(c), np.tanh(TWO * t + c) / TWO


@pytest.mark.parametrize("name", SYSTEMS)
def test_linear_pairs_in_a_saddle_have_a_closed_form(name):
    start = linear(0.5)
    final = SYSTEMS[name](SADDLE, start, t1=0.7, rtol=1e-12).final
    s, B = closed_form(name, 0.5, 0.7)
    assert float((final.theta[:, 0] - s * start.u).abs().max()) < 1e-10
    assert float((final.H - B * s * start.u).abs().max()) < 1e-10
    assert float((start.slope(final) - B).abs().max()) < 1e-10
    assert float((start.rho(final) - 0.5 / s).abs().max()) < 1e-10
    assert float((start.stretch(final) - s).abs().max()) < 1e-10


@pytest.mark.parametrize(
    ("system", "fold"), [(chaos, atanh(1 / 2)), (transported, atanh(1 / (2 * TWO)) / TWO)]
)
def test_a_fold_ends_the_label_form_and_says_when(system, fold):
    with pytest.raises(RuntimeError, match=rf"meet at t = {fold:.6g} of 1: .*wasserstein"):
        system(SADDLE, linear(2.0), t1=1.0)
    system(SADDLE, linear(2.0), t1=0.99 * fold)


def test_the_separated_system_does_not_fold_where_the_others_do():
    final = separated(SADDLE, linear(2.0), t1=1.0, rtol=1e-12).final
    assert float(final.theta[-1, 0]) == pytest.approx(exp(-3), rel=1e-9)


def test_atoms_go_on_beyond_the_fold():
    start = linear(2.0)
    final = jko.limits.wasserstein(SADDLE, start.pair, t1=1.0, rtol=1e-10).final
    s = cosh(1) - 2 * sinh(1)
    assert s < 0
    assert float((final.theta[:, 0] - s * start.u).abs().max()) < 1e-8


# Labels


def test_chebyshev_points_integrate_differentiate_and_interpolate_polynomials():
    for n in (4, 9, 16):
        u = chebyshev.nodes(n, -1.0, 2.0)
        p = np.polynomial.Polynomial(np.arange(1.0, n + 1) / 2.0 ** np.arange(n))
        scale = np.abs(p(u)).max()
        integral = p.integ()(2.0) - p.integ()(-1.0)
        assert chebyshev.quadrature(n, -1.0, 2.0) @ p(u) == pytest.approx(integral, rel=1e-13)
        assert np.abs(chebyshev.derivative(u) @ p(u) - p.deriv()(u)).max() < 1e-12 * n**2 * scale
        at = np.linspace(-1, 2, 7)
        assert np.abs(chebyshev.evaluation(u, at) @ p(u) - p(at)).max() < 1e-13 * n * scale


def test_tails_tell_whether_a_function_is_resolved():
    for n, resolved in ((16, False), (64, True)):
        u = chebyshev.nodes(n, -1.0, 1.0)
        assert (chebyshev.tail(u, np.tanh(3 * u)) < 1e-6) == resolved
    run = separated(network(), labels(48), t1=0.5)
    assert run.columns["tails"].shape == (len(run.times) - 1,)
    assert run.columns["tails"][-1] > 1e-7  # steep H: 48 labels leave seven digits


def test_labels_are_atoms_whose_masses_integrate_rho():
    start = labels(64)
    assert float(start.weights.sum()) == pytest.approx(1, abs=1e-14)
    pair = start.pair
    assert float(pair.integrate(pair.theta[:, 0])) == pytest.approx(0.3, abs=2e-5)  # cut at 4.5 s
    assert repr(start) == "Labels(labels=64, on=-3 .. 3)"


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"bounds": (1.0, -1.0)}, ValueError, r"bounds = \(1, -1\)"),
        ({"n": 3}, ValueError, r"n = 3"),
        ({"density": lambda at: at[:, 0]}, ValueError, r"density is -1 at theta = -1.*narrower"),
        ({"H": lambda at: at[:, 0].log()}, ValueError, r"H has .* not finite"),
        ({"H": lambda at: at}, ValueError, r"function H returned shape \(8, 1\)"),
        ({"domain": jko.Ball([0.0], 1.0)}, TypeError, r"domain must be Box"),
        ({"domain": jko.Box([-0.5], [2.0])}, ValueError, r"labels lie outside the domain Box"),
    ],
)
def test_bad_labels_are_a_sentence(change, error, sentence):
    good = {"density": density, "H": charge, "bounds": (-1.0, 1.0), "n": 8}
    with pytest.raises(error, match=sentence):
        Labels.chebyshev(**(good | change))


def test_what_the_label_form_cannot_do_is_a_sentence():
    with pytest.raises(ValueError, match=r"no term for Entropy\(\).*ChargedDensity"):
        chaos(network() + jko.Entropy(), labels(8), t1=1.0)
    with pytest.raises(ValueError, match=r"rtol = 1e-16"):
        chaos(network(), labels(8), t1=1.0, rtol=1e-16)
    with pytest.raises(ValueError, match=r"t1 = -1"):
        separated(network(), labels(8), t1=-1.0)
    with pytest.raises(ValueError, match=r"times = .*must increase"):
        separated(network(), labels(8), t1=1.0, times=[0.5, 0.2])
    with pytest.raises(ValueError, match=r"no state of these labels"):
        labels(8).slope(labels(9).pair)
    with pytest.raises(ValueError, match=r"not finite at the start"):
        chaos(jko.Potential(lambda z: (z[:, 0] - 5).sqrt()), labels(8), t1=1.0)


def test_labels_that_leave_their_domain_are_refused():
    box = jko.Box([-1.0], [1.0])
    with pytest.raises(RuntimeError, match=r"leaves Box.*drop the domain"):
        chaos(SADDLE, linear(-0.5, domain=box), t1=1.0)
    final = chaos(SADDLE, linear(0.5, domain=box), t1=0.1).final
    assert final.domain is box


# (3.19) in the span of H_0 and the features


def span(rho, energy=None, H0=charge, activation=h, x=X[:, None]):
    return jko.ChargedSpan(rho, H0, activation, x)


def test_the_span_has_the_energy_and_the_pair_of_the_label_form():
    start = labels()
    run = separated(
        network(), span(jko.Particles(start.u[:, None], start.weights)), t1=T, rtol=RTOL
    )
    final = separated(network(), start, t1=T, rtol=RTOL).final
    assert isinstance(run.final, jko.ChargedSpan)
    assert run.energies[-1] == pytest.approx(0.2153438469, abs=1e-10)
    assert float((run.final.support - final.theta).abs().max()) < 1e-9
    assert float((run.final.atoms.points[:, 0] - final.H).abs().max()) < 1e-9
    assert run.final.alpha == pytest.approx(exp(-LAM * T), abs=1e-15)


def test_the_span_agrees_with_a_program_by_hand_in_two_dimensions():
    # theta = (a, b), h = tanh(a x + b), H_0 = sin a + b^2 / 2, V = lam/2 (H^2 + |theta|^2) + cos a / 5, unequal masses
    rng = np.random.default_rng(3)
    x, theta, mass = np.linspace(-1, 1.5, 7), rng.normal(size=(9, 2)), rng.uniform(1, 2, 9)
    mass, f, lam, c = mass / mass.sum(), np.sin(2 * x), 0.2, 1.5

    def velocity(t, y):
        a, b, beta = y[:9], y[9:18], y[18:]
        g = np.tanh(np.outer(a, x) + b[:, None])
        dg = 1 - g**2
        alpha = np.exp(-lam * t)
        H = alpha * (np.sin(a) + b**2 / 2) - g @ beta
        force = c / 7 * ((mass * H) @ g - f)
        p = g @ force + lam * H
        Ha, Hb = alpha * np.cos(a) - (dg * x) @ beta, alpha * b - dg @ beta
        va = -(p * Ha + H * ((dg * x) @ force) + lam * a - 0.2 * np.sin(a))
        vb = -(p * Hb + H * (dg @ force) + lam * b)
        return np.concatenate([va, vb, -lam * beta + force])

    start = np.concatenate([theta.T.ravel(), np.zeros(7)])
    end = solve_ivp(velocity, (0, 1), start, "Radau", rtol=1e-9, atol=1e-11).y[:, -1]
    risk = jko.Risk(jko.Data(x[:, None], f), activation=jko.Ridge(torch.tanh))
    wave = jko.energies.OnTheta(jko.Potential(lambda at: 0.2 * torch.cos(at[:, 0])))
    pair = jko.ChargedSpan(
        jko.Particles(theta, mass),
        lambda at: torch.sin(at[:, 0]) + 0.5 * at[:, 1] ** 2,
        risk.activation,
        x[:, None],
    )
    run = separated(c * risk + lam * jko.SquaredNorm() + wave, pair, t1=1.0, rtol=1e-10)
    assert np.abs(run.final.support.numpy().T.ravel() - end[:18]).max() < 1e-7
    assert np.abs(run.final.b.numpy() - end[18:]).max() < 1e-7
    assert (np.diff(run.energies) < 0).all()


def test_the_span_refuses_what_leaves_it():
    rho = jko.Particles([[0.0], [1.0]])
    with pytest.raises(ValueError, match=r"not quadratic in H.*jko\.energies\.OnTheta"):
        separated(network() + jko.energies.PowerNorm(4), span(rho), t1=1.0)
    with pytest.raises(ValueError, match=r"inputs are not the span's"):
        separated(network(), span(rho, x=X[:, None] + 1), t1=1.0)
    with pytest.raises(ValueError, match=r"activation is not the span's.*risk\.activation"):
        separated(network(), span(rho, activation=lambda theta, x: h(theta, x)), t1=1.0)
    general = jko.Risk(jko.Data(X[:, None], F), features=lambda xi, x: xi[:, :1] * h(xi[:, 1:], x))
    with pytest.raises(ValueError, match=r"general features"):
        separated(general, span(rho), t1=1.0)
    grid = jko.GridDensity(jko.Grid((0.0, 1.0), 2), [1.0, 1.0])
    with pytest.raises(TypeError, match=r"rho must be Particles"):
        separated(network(), span(grid), t1=1.0)


def test_atoms_of_a_span_stop_at_walls():
    out = jko.energies.OnTheta(jko.Potential(lambda at: -at[:, 0]))
    start = span(jko.Particles([[0.0], [0.9]], domain=jko.Box([-1.0], [1.0])))
    run = separated(out, start, t1=1.5, times=[0.05, 0.5])
    for t, state in zip(run.times, run.states, strict=True):
        wall = np.minimum(np.array([0.0, 0.9]) + t, 1.0)
        assert state.support[:, 0].tolist() == pytest.approx(wall, abs=1e-7)
    assert run.final.domain is start.domain
