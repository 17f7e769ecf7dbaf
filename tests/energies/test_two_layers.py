"""The risk of two hidden layers against loops, and its JKO steps."""

import numpy as np
import pytest
import torch

import jko

N1, N2, n = 5, 3, 2


def example():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(8, n, generator=generator, dtype=torch.float64)
    f = torch.sin(x[:, 0]) + x[:, 1]  # odd, as the network is
    points = torch.randn(N1, n + 2 * N2, generator=generator, dtype=torch.float64)
    points[:, n + N2 :] = points[0, n + N2 :]  # copies of w
    return jko.energies.TwoLayerRisk(jko.Data(x, f), N2=N2), jko.Particles(points)


def test_the_network_is_the_composition_of_two_sums():
    E, nu = example()
    points = nu.points.numpy()
    for k, x in enumerate(E.data.x.numpy()):
        total = 0.0
        for j in range(N2):
            inner = np.mean([p[n + j] * np.tanh(p[:n] @ x) for p in points])
            total += points[0, n + N2 + j] * np.tanh(inner) / N2
        assert abs(total - float(E.predict(nu)[k])) < 1e-14


def test_the_gradient_is_that_of_the_value():
    E, nu = example()
    points = nu.points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(E(nu.moved(points)), points)
    assert float((N1 * slope - E.gradient(nu)).abs().max()) < 1e-14


def test_the_variation_is_the_derivative_along_mixtures():
    E, nu = example()
    other = nu.points + 0.3
    other[:, n + N2 :] = nu.points[
        :, n + N2 :
    ]  # of the copies only the mean counts, and it is that of one w
    mixed = jko.Particles.of(
        torch.cat([nu.points, other]), torch.cat([(1 - 1e-6) * nu.weights, 1e-6 * nu.weights])
    )
    rate = float(E(mixed) - E(nu)) / 1e-6
    assert abs(rate - float((E.variation(nu, other) - E.variation(nu)).mean())) < 1e-6


def test_steps_descend_with_their_ledger_and_copies_stay_equal():
    E, nu = example()
    run = jko.flow(E + 1e-3 * jko.SquaredNorm(), nu, tau=5.0, steps=20)
    assert (run.slacks >= 0).all()
    assert run.energies[-1] < 0.8 * run.energies[0]
    w = run.final.points[:, n + N2 :]
    assert float((w - w[0]).abs().max()) < 1e-12


def test_a_wrong_dimension_is_said():
    E, _ = example()
    with pytest.raises(ValueError, match=r"\(theta, b, w\) with n \+ 2 N2 = 8"):
        E(jko.Particles([[0.0, 1.0]]))


def test_copies_that_differ_are_refused():
    E, nu = example()
    apart = nu.points.clone()
    apart[2, n + N2 + 1] += 0.1
    nu = jko.Particles(apart)
    for use in (E, E.gradient, E.predict, lambda s: jko.step(E, s, tau=0.1)):
        with pytest.raises(ValueError, match=r"copies of the outer weights w differ by up to 0\.1"):
            use(nu)


def test_in_w2_the_second_layer_freezes_as_its_docstring_says():
    speeds = []
    for width in (4, 16, 64):
        points = torch.full((3, n + 2 * width), 0.5, dtype=torch.float64)
        E, _ = example()
        E = jko.energies.TwoLayerRisk(E.data, N2=width)
        v = E.gradient(jko.Particles(points))
        speeds.append([float(v[:, :n].norm()), float(v[0, n + width])])
    theta, w = np.array(speeds).T
    assert theta == pytest.approx(theta[0])
    assert w[:-1] / w[1:] == pytest.approx(4)


def speeds(width, scaled):
    """Root mean squares of how far the coordinates of theta, b, w go in the time of eight steps, over that time."""
    generator = torch.Generator().manual_seed(3)
    E = jko.energies.TwoLayerRisk(example()[0].data, N2=width)
    w = 1 + 0.5 * torch.randn(width, generator=generator, dtype=torch.float64)
    theta = torch.randn(20, n, generator=generator, dtype=torch.float64)
    noise = torch.randn(20, width, generator=generator, dtype=torch.float64)
    nu = jko.Particles(torch.cat([theta, theta[:, 1:] + 0.5 * noise, w.expand(20, width)], dim=1))
    metric = jko.metrics.ScaledWasserstein.two_layers(n, width) if scaled else None
    run = jko.flow(E, nu, tau=0.25, steps=8, metric=metric, solver=jko.LBFGS(fraction=0.01))
    assert (run.slacks >= 0).all()
    moves = ((run.final.points - nu.points) / 2).split([n, width, width], dim=1)
    return [float(move.square().mean().sqrt()) for move in moves]


def test_in_the_product_metric_no_layer_freezes_as_the_second_grows():
    widths = (4, 16, 64, 256)
    product = np.array([speeds(width, True) for width in widths])
    assert (product.max(0) < 1.6 * product.min(0)).all()  # each block, from N2 = 4 to 256
    plain = np.array([speeds(width, False) for width in (4, 256)])
    assert (plain[0, 1:] > 50 * plain[1, 1:]).all()
