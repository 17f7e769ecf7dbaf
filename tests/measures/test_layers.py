"""Networks with two hidden layers as a state: the product of the layers, in which none freezes."""

import numpy as np
import pytest
import torch

import jko
from jko.measures import LayerKernels, Particles, TwoLayer

x = torch.linspace(-1, 1, 15, dtype=torch.float64)
DATA = jko.Data(torch.stack([x, torch.ones_like(x)], 1), torch.sin(3 * x))
RISK = jko.energies.TwoLayerRisk(DATA)
F = RISK + 1e-2 * jko.SquaredNorm()
TIGHT = jko.LBFGS(tol=1e-11)
LAW = LayerKernels(
    theta=lambda u: torch.cat([6 * u - 3, torch.cos(3 * u)], dim=1),
    b=lambda u, v: (3 * torch.sin(3 * u - 2 * v) + v)[..., 0],
    w=lambda v: 4 * v[:, 0] - 1,
)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def network(seed=0, N1=6, N2=4, equal=False):
    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    generator = seeded(seed)
    theta, b, w = normal(N1, 2), normal(N1, N2), normal(N2)
    if equal:
        return TwoLayer(theta, b, w)
    rho, m = (normal(N).abs() + 0.1 for N in (N1, N2))
    return TwoLayer(theta, b, w, rho / rho.sum(), m / m.sum())


@pytest.mark.parametrize("seed", range(3))
def test_the_network_is_two_sums_with_masses(seed):
    net = network(seed)
    theta, b, w, rho, m = (v.numpy() for v in (net.theta, net.b, net.w, net.weights, net.masses))
    wanted = np.tanh(np.tanh(DATA.x.numpy() @ theta.T) @ (rho[:, None] * b)) @ (m * w)
    assert RISK.predict(net).numpy() == pytest.approx(wanted, abs=1e-14)
    moment = rho @ (theta**2).sum(1) + rho @ b**2 @ m + m @ w**2
    assert float(jko.SquaredNorm()(net)) == pytest.approx(0.5 * moment, rel=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_product(seed):
    """Each coordinate over its mass: of theta rho, of b rho m, of w m; from the value alone."""
    net = network(seed)
    parts = [v.clone().requires_grad_() for v in (net.theta, net.b, net.w)]
    value = RISK(TwoLayer(*parts, net.weights, net.masses))
    by_theta, by_b, by_w = torch.autograd.grad(value, parts)
    found = net.atoms.layers(RISK.gradient(net))
    rho, m = net.weights[:, None], net.masses
    assert torch.allclose(found[0], by_theta / rho, atol=1e-14)
    assert torch.allclose(found[1], by_b / (rho * m), atol=1e-13)
    assert torch.allclose(found[2], (by_w / m).expand(6, -1), atol=1e-13)


def test_evaluation_variation_and_gradient_are_one():
    net = network(4)
    at = net.atoms.points + 0.3
    found = RISK.evaluate(net.atoms)
    assert float(found.value) == pytest.approx(float(RISK(net)), rel=1e-14)
    assert torch.equal(found.variation, RISK.variation(net))
    assert torch.equal(found.gradient, RISK.gradient(net))
    assert torch.allclose(jko.Energy.gradient(RISK, net, at), RISK.gradient(net, at), atol=1e-14)


def test_a_step_is_that_of_atoms_with_copies_in_the_scaled_metric():
    """N2 = 3: its scales are no powers of two."""
    net = network(5, N2=3, equal=True)
    raw = Particles(torch.cat([net.theta, net.b, net.w.expand(6, 3)], dim=1))
    scaled = jko.metrics.ScaledWasserstein.two_layers(2, 3)
    risk = jko.energies.TwoLayerRisk(DATA, N2=3)
    a = jko.flow(risk, raw, tau=0.5, steps=3, metric=scaled, solver=TIGHT)
    b = jko.flow(risk, net, tau=0.5, steps=3, solver=TIGHT)
    after = b.final
    assert a.energies == pytest.approx(b.energies, rel=1e-9)
    assert a.columns["costs"] == pytest.approx(b.columns["costs"], rel=1e-6)
    for found, wanted in zip(
        a.final.points.split([2, 3, 3], dim=1), (after.theta, after.b, after.w), strict=True
    ):
        assert torch.allclose(found, wanted.expand_as(found), atol=1e-7)


@pytest.mark.parametrize(("scheme", "order"), [(jko.Implicit(), 1), (jko.SDIRK2(), 2)])
def test_flows_converge_to_the_limit_with_their_order(scheme, order):
    net = network(1)
    limit = jko.limits.wasserstein(F, net, t1=2.0)

    def run(tau):
        return jko.flow(F, net, tau=tau, t1=2.0, solver=TIGHT, scheme=scheme)

    assert jko.convergence(run, limit, [0.25, 0.125]).orders[-1] == pytest.approx(order, abs=0.1)


def test_the_flow_is_the_ordinary_differential_equation_of_the_layers():
    """(5.1) in the product metric written out, by scipy."""
    from scipy.integrate import solve_ivp

    net = network(2)
    rho, m, X, f, q = (v.numpy() for v in (net.weights, net.masses, DATA.x, DATA.f, DATA.weights))

    def rates(t, y):
        theta, b, w = y[:12].reshape(6, 2), y[12:36].reshape(6, 4), y[36:]
        first = np.tanh(theta @ X.T)
        outer = np.tanh(first.T @ (rho[:, None] * b))
        g = q * (outer @ (m * w) - f)
        back = g[:, None] * (1 - outer**2) * w
        pull = (b @ (m * back).T) * (1 - first**2)
        parts = pull @ X, first @ back, outer.T @ g
        return -np.concatenate([part.ravel() for part in parts])

    start = np.concatenate([v.numpy().ravel() for v in (net.theta, net.b, net.w)])
    end = solve_ivp(rates, (0, 3.0), start, rtol=1e-10, atol=1e-12).y[:, -1]
    found = jko.limits.wasserstein(RISK, net, t1=3.0).final
    made = torch.cat([found.theta.ravel(), found.b.ravel(), found.w]).numpy()
    assert made == pytest.approx(end, abs=1e-6)


def test_the_masses_of_a_rule_merge_equal_neurons():
    """A neuron of mass 2/3 in either layer is two of 1/3 each, for all times."""
    one = TwoLayer(
        [[1.0, 0.2], [-0.5, 0.3]],
        [[1.0, -1.0], [0.5, 2.0]],
        [1.0, -2.0],
        [2 / 3, 1 / 3],
        [2 / 3, 1 / 3],
    )
    i = [0, 0, 1]
    two = TwoLayer(one.theta[i], one.b[i][:, i], one.w[i])
    a, b = (jko.flow(RISK, net, tau=0.5, steps=4, solver=TIGHT).final for net in (one, two))
    assert torch.allclose(RISK.predict(a), RISK.predict(b), atol=1e-8)
    assert torch.allclose(a.b[i][:, i], b.b, atol=1e-7)


def test_first_layers_are_coupled_and_second_layers_are_held():
    net = network(3, equal=True)
    assert jko.distance(net, net.permuted(first=[3, 1, 2, 5, 0, 4])).value < 1e-9
    other = net.permuted(second=[1, 0, 2, 3])
    assert jko.distance(net, other).value > 0.1
    assert torch.allclose(RISK.predict(net), RISK.predict(other), atol=1e-15)
    assert jko.metrics.unlabelled(net, other).value < 1e-7


@pytest.mark.parametrize("seed", range(2))
def test_unlabelled_is_the_least_over_all_permutations(seed):
    """Of small networks all 6 x 6 pairs of permutations are tried."""
    from itertools import permutations

    a, b = network(seed, 3, 3, equal=True), network(seed + 50, 3, 3, equal=True)
    found = jko.metrics.unlabelled(a, b).squared

    def cost(i, j):
        c = b.permuted(first=list(i), second=list(j))
        return float(
            (a.theta - c.theta).square().sum(1).mean()
            + (a.b - c.b).square().mean()
            + (a.w - c.w).square().mean()
        )

    orders = list(permutations(range(3)))
    best = min(cost(i, j) for i in orders for j in orders)
    assert best - 1e-9 <= found <= min(jko.distance(a, b).squared, 1.25 * best) + 1e-9


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ValueError, match=r"jko\.metrics\.unlabelled"):
        jko.distance(network(0), network(1))
    with pytest.raises(ValueError, match=r"jko\.metrics\.unlabelled"):
        jko.distance(network(0, N2=3), network(0))
    with pytest.raises(ValueError, match="must read the same inputs"):
        jko.metrics.unlabelled(network(0), TwoLayer([[1.0]], [[1.0]], [1.0]))
    with pytest.raises(TypeError, match=r"reads a jko\.measures\.TwoLayer"):
        RISK(Particles([[0.0, 1.0, 2.0, 3.0]]))
    with pytest.raises(ValueError, match=r"w has shape \(1,\); it must have shape \(2,\)"):
        TwoLayer([[1.0]], [[1.0, 2.0]], [1.0])
    with pytest.raises(ValueError, match="each of 0"):
        network(0).permuted(second=[0, 0, 1, 2])
    with pytest.raises(ValueError, match=r"n \+ 2 N2 > 4"):
        jko.measures.LayerAtoms([[1.0, 2.0, 3.0, 4.0]], masses=[0.5, 0.5])


def test_labels_give_the_kernels_and_the_noise():
    net = LayerKernels(LAW.theta, LAW.b, LAW.w, noise=2.0).sample(400, 300, generator=seeded(0))
    plain = LAW.sample(400, 300, generator=seeded(0))
    assert torch.equal(net.theta, plain.theta)
    rest = net.b - plain.b
    assert float(rest.std()) == pytest.approx(2.0, rel=0.02)
    assert abs(float(rest.mean())) < 0.03
    assert float(plain.w.mean()) == pytest.approx(1.0, abs=0.2)  # E (4 v - 1)


@pytest.mark.parametrize("normal", [False, True])
def test_the_limit_is_a_quadrature_of_all_labels(normal):
    law = LayerKernels(
        theta=lambda u: u,
        b=lambda u, v: u[..., 0] * v[..., 0],
        w=lambda v: v[:, 0],
        inner=2,
        normal=normal,
    )
    limit = law.limit(5)
    assert (limit.N, limit.N2) == (25, 5)
    second = 1.0 if normal else 1 / 3
    assert float(limit.weights @ limit.theta[:, 1] ** 2) == pytest.approx(second)
    assert float(limit.weights @ limit.b**2 @ limit.masses) == pytest.approx(second**2)


def test_kernels_of_other_shapes_are_refused():
    law = LayerKernels(lambda u: u, lambda u, v: u - v, lambda v: v[:, 0])
    with pytest.raises(ValueError, match=r"take the numbers of a label by u\[\.\.\., 0\]"):
        law.limit(3)
    with pytest.raises(ValueError, match="one layer has a size here"):
        LAW.half_limit(N1=2, N2=2, generator=seeded(0))
    with pytest.raises(ValueError, match="which no rule of Gauss can hold"):
        LayerKernels(LAW.theta, LAW.b, LAW.w, noise=1.0).half_limit(N1=2, generator=seeded(0))
