"""Relaxed potentials against hulls that are known, against scipy's, and min F = min G**."""

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

import jko
from jko.energies import Relaxed, relaxed
from jko.measures import YoungMeasure
from jko.testing import check_energy, samples

W = torch.linspace(-2.5, 2.5, 51, dtype=torch.float64)
MU = jko.Particles(torch.stack([W, torch.linspace(-1, 1, 51, dtype=torch.float64)], 1))


def wells(xi):
    return (xi[:, 0] ** 2 - 1) ** 2


def moving(xi):
    """Wells at +- sqrt((2 - theta^2) / 2), on a slope: the hull is known at each theta."""
    w, t = xi[:, 0], xi[:, 1]
    return w**4 + (t**2 - 2) * w**2 + 1 + 0.3 * w * t


def hull_of_moving(xi):
    w, t = xi[:, 0], xi[:, 1]
    c = (2 - t**2) / 2
    return ((w**2 - c).clamp(min=0)) ** 2 + 1 - c**2 + 0.3 * w * t


CASES = {
    "wells": (
        wells,
        lambda xi: (xi[:, 0].abs() - 1).clamp(min=0).square() * (xi[:, 0].abs() + 1) ** 2,
    ),
    "moving": (moving, hull_of_moving),
    "three wells": (
        lambda xi: (xi[:, 0] * (xi[:, 0] ** 2 - 1)) ** 2,
        lambda xi: torch.where(xi[:, 0].abs() <= 1, 0.0, (xi[:, 0] * (xi[:, 0] ** 2 - 1)) ** 2),
    ),
    "kinks": (
        lambda xi: (xi[:, 0].abs() - 1).abs() + xi[:, 1],
        lambda xi: (xi[:, 0].abs() - 1).clamp(min=0) + xi[:, 1],
    ),
    "two parabolas": (
        lambda xi: torch.minimum((xi[:, 0] - 1) ** 2, (xi[:, 0] + 1) ** 2),
        lambda xi: (xi[:, 0].abs() - 1).clamp(min=0) ** 2,
    ),
    "convex": (lambda xi: xi[:, 0] ** 4 - xi[:, 1] ** 2, lambda xi: xi[:, 0] ** 4 - xi[:, 1] ** 2),
    "waves": (lambda xi: torch.cos(xi[:, 0]), lambda xi: torch.full_like(xi[:, 0], -1.0)),
    "small wells": (
        lambda xi: (xi[:, 0] ** 2 - 1e-4) ** 2 * 1e4,
        lambda xi: (xi[:, 0] ** 2 - 1e-4).clamp(min=0) ** 2 * 1e4,
    ),
    "wells behind walls": (
        lambda xi: xi[:, 0] ** 2 * (xi[:, 0] ** 2 - 1e4) ** 2 / 1e12,
        lambda xi: torch.zeros_like(xi[:, 0]),
    ),
    "far wells": (
        lambda xi: (xi[:, 0] ** 2 - 1e4) ** 2 / 1e8,
        lambda xi: torch.zeros_like(xi[:, 0]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_known_hulls(name):
    V, hull = CASES[name]
    E = Relaxed(jko.Potential(V))
    if name == "small wells":
        near = jko.Particles(MU.points * torch.tensor([0.006, 1.0]))
        assert (E.variation(near) - hull(near.points)).abs().max() < 1e-12
        assert (E.variation(near) < V(near.points) - 1e-6).sum() > 20
    assert (E.variation(MU) - hull(MU.points)).abs().max() < 1e-12
    assert (E.variation(MU) <= V(MU.points) + 1e-15).all()
    assert E.error(MU) < 0.02
    assert float(E(MU)) == pytest.approx(float(MU.integrate(hull(MU.points))), abs=1e-12)


@pytest.mark.parametrize("end", [1.126, 1.13, 1.17, 1.187])
def test_close_to_the_ends_of_a_chord(end):
    """Between an end and the next point of the table, on either side."""
    c = end**2
    E = Relaxed(jko.Potential(lambda xi: (xi[:, 0] ** 2 - c) ** 2))
    w = end + torch.linspace(-0.04, 0.04, 41, dtype=torch.float64)
    w = torch.cat([w, -w])
    mu = jko.Particles(torch.stack([w, 0 * w], 1))
    assert (E.variation(mu) - (w**2 - c).clamp(min=0) ** 2).abs().max() < 1e-13


@pytest.mark.parametrize("seed", range(4))
def test_polynomials_of_degree_six_against_the_hull_of_many_points(seed):
    c = np.random.default_rng(seed).normal(size=6)

    def V(xi):
        w = xi[:, 0]
        return 0.2 * w**6 + sum(float(a) * w**i for i, a in enumerate(c))

    x = np.linspace(-6, 6, 60001)
    y = V(torch.from_numpy(x[:, None])).numpy()
    top = np.array([[x[0], y.max() + 1], [x[-1], y.max() + 1]])
    below = np.vstack([np.stack([x, y], 1), top])
    corners = np.sort([i for i in ConvexHull(below).vertices if i < len(x)])
    found = Relaxed(jko.Potential(V)).variation(MU).numpy()
    assert np.abs(found - np.interp(W.numpy(), x[corners], y[corners])).max() < 1e-6


def test_slopes_and_second_derivatives_are_those_of_the_hull():
    E = Relaxed(jko.Potential(moving))
    points = MU.points.clone().requires_grad_()
    value = hull_of_moving(points)
    (slopes,) = torch.autograd.grad(value.sum(), points, create_graph=True)
    assert (E.gradient(MU) - slopes).abs().max() < 1e-10
    rows = [torch.autograd.grad(slopes[:, k].sum(), points, retain_graph=True)[0] for k in (0, 1)]
    off_kinks = (W**2 - (2 - MU.points[:, 1] ** 2) / 2).abs() > 1e-3
    assert (E.hessian(MU) - torch.stack(rows, 1))[off_kinks].abs().max() < 1e-8


def test_it_is_an_energy():
    check_energy(Relaxed(jko.Potential(moving)), [samples.cloud(2)])


def test_a_potential_outside_torch_has_a_hull_too():
    def V(z):
        return (z[:, 0].numpy() ** 2 - 1) ** 2

    def slope(z):
        w = z[:, 0].numpy()
        return np.stack([4 * w * (w**2 - 1), 0 * w], axis=1)

    E, same = Relaxed(jko.Potential(V, slope)), Relaxed(jko.Potential(wells))
    assert (E.variation(MU) - same.variation(MU)).abs().max() < 1e-12
    assert (E.gradient(MU) - same.gradient(MU)).abs().max() < 1e-8


def test_over_an_interval_the_hull_is_that_of_the_interval():
    E = Relaxed(jko.Potential(lambda xi: -(xi[:, 0] ** 2)), bounds=(-3, 4))
    assert (E.variation(MU) - (-W - 12)).abs().max() < 1e-12
    assert (E.gradient(MU)[:, 0] + 1).abs().max() < 1e-12
    with pytest.raises(ValueError, match="outside of the bounds"):
        E.variation(jko.Particles([[5.0, 0.0]]))


@pytest.mark.parametrize(
    "V", [lambda xi: -xi[:, 0].abs(), lambda xi: xi[:, 0].abs() ** 0.5], ids=["concave", "root"]
)
def test_a_potential_that_grows_slower_than_a_line_is_refused(V):
    with pytest.raises(ValueError, match="slowly than a line"):
        Relaxed(jko.Potential(V)).variation(MU)


def test_fibres_attain_the_hull():
    G = Relaxed(jko.Potential(moving))
    pair = jko.ChargedParticles(MU.points[:, 1:], W)
    mu = G.fibres(pair)
    assert (mu.H - W).abs().max() < 1e-12
    assert torch.allclose(mu.theta, pair.theta)
    assert float(jko.Potential(moving)(mu)) == pytest.approx(float(G(pair)), abs=1e-13)
    assert float(G(mu)) == pytest.approx(float(G(pair)), abs=1e-12)  # affine between the ends
    assert mu.expected_variance > 0.1
    assert (G.bitangent(pair).is_chord.sum() + 51) == mu.N


def test_the_slope_is_the_mean_over_fibres():
    """So |dG**|^2 is |dF|^2 at the fibres, less how much their speeds differ, which a pair does not see."""
    F = jko.Potential(moving)
    G = Relaxed(F)
    pair = jko.ChargedParticles(MU.points[:, 1:], 0.9 * W)
    mu = G.fibres(pair)
    slopes = F.gradient(mu)
    means = mu._means(slopes)
    assert (means - G.gradient(pair)).abs().max() < 1e-9
    steepest = [float(state.inner(g, g)) for state, g in ((pair, G.gradient(pair)), (mu, slopes))]
    apart = slopes - means[mu.label]
    assert steepest[0] == pytest.approx(steepest[1] - float(mu.inner(apart, apart)), abs=1e-9)
    assert apart[:, 0].abs().max() < 1e-9  # in w they have one speed


X = torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None]
RISK = jko.Risk(jko.Data(X, 0.6 * X[:, 0].sin()), activation=lambda t, x: torch.tanh(t @ x.T))


def test_the_minimum_of_F_is_that_of_the_relaxed_energy():
    """Min F = 0: theta = 1 or -1 and w = 1 or -1 with mean charge .3.  A pair has H in the wells, or is far above."""
    data = jko.Data(X, 0.3 * X[:, 0].tanh())
    risk = jko.Risk(data, activation=lambda t, x: torch.tanh(t @ x.T))
    home = jko.energies.OnTheta(jko.Potential(lambda t: (t[:, 0] ** 2 - 1) ** 2))
    F = risk + 0.1 * jko.Potential(wells) + home
    G = relaxed(F)
    pair = jko.ChargedParticles([[0.8], [0.9], [1.2]], [0.5, 0.2, 0.0])
    rest = jko.flow(G, pair, tau=50.0, steps=3, solver=jko.LBFGS(tol=1e-7)).final
    assert float(G(rest)) < 1e-10
    hull = next(E for _, E in G.terms if isinstance(E, Relaxed))
    mu = hull.fibres(rest)
    assert float(F(mu)) == pytest.approx(float(G(rest)), abs=1e-13)
    assert float(F(rest)) > 0.05
    g = torch.Generator().manual_seed(0)
    for _ in range(10):  # nothing that we tried is below
        cloud = jko.Particles.normal(8, 2, generator=g)
        assert float(F(cloud)) >= float(G(cloud)) - 1e-12
        assert float(G(cloud)) >= float(G(cloud.project())) - 1e-12


def test_the_hull_of_a_sum_is_not_the_sum_of_hulls():
    both = relaxed(jko.Potential(wells) + 4 * jko.SquaredNorm())  # convex: w^4 + 1 + 2 theta^2
    assert (both.variation(MU) - (W**4 + 1 + 2 * MU.points[:, 1] ** 2)).abs().max() < 1e-12


def test_what_sees_more_than_the_mean_is_refused():
    with pytest.raises(ValueError, match="Interaction sees more of the fibres"):
        relaxed(jko.Interaction(lambda z: z[:, 0] ** 2) + jko.SquaredNorm())
    with pytest.raises(ValueError, match="Risk sees more"):
        relaxed(
            jko.Risk(RISK.data, features=lambda xi, x: torch.sin(xi[:, :1]) * x.T)
            + jko.SquaredNorm()
        )
    with pytest.raises(ValueError, match="is not linear"):
        Relaxed(RISK)
    assert relaxed(RISK) is RISK
    with pytest.raises(ValueError, match="at least two"):
        relaxed(wells)(jko.Particles([[1.0]]))


def test_flows_of_pairs_in_the_relaxed_energy_keep_their_ledger():
    pair = jko.ChargedParticles([[0.0], [0.5], [1.0]], [0.3, -0.2, 1.6])
    run = jko.flow(relaxed(RISK + 0.1 * jko.Potential(wells)), pair, tau=0.5, steps=4)
    assert run.slacks.min() >= 0
    assert isinstance(Relaxed(jko.Potential(wells)).fibres(run.final), YoungMeasure)
