"""An energy of rho alone acts on theta and leaves w alone."""

import numpy as np
import pytest
import torch

import jko
from jko import exact
from jko.energies.base import Energy

DATA = jko.Data([[0.5, 1.0], [-1.0, 0.3], [0.2, -0.7]], [1.0, -1.0, 0.5])
INNER = {
    "potential": jko.SquaredNorm(),
    "interaction": jko.Interaction(lambda z: (z**2).sum(-1).add(1).sqrt()),
    "kernel entropy": jko.KernelEntropy(0.6),
    "kernel porous medium": jko.energies.KernelPorousMedium(0.6),
    "risk of rho": jko.Risk(DATA, features=lambda theta, x: torch.sin(theta @ x.T)),
    "sum": jko.SquaredNorm() + (-0.5) * jko.KernelEntropy(0.6),
}


def cloud(N=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(N, generator=generator, dtype=torch.float64) + 0.1
    points = torch.randn(N, 3, generator=generator, dtype=torch.float64)
    return jko.Particles(points, weights / weights.sum())


@pytest.mark.parametrize("name", INNER)
def test_every_shortcut_agrees_with_automatic_differentiation(name):
    E, mu = jko.energies.OnTheta(INNER[name]), cloud()
    value, variation, gradient = E.evaluate(mu)
    assert float(value) == pytest.approx(float(E(mu)), rel=1e-13)
    assert torch.allclose(variation, E.variation(mu), rtol=1e-12)
    assert torch.allclose(gradient, Energy.gradient(E, mu), rtol=1e-10, atol=1e-12)
    assert torch.equal(gradient[:, 0], torch.zeros(9, dtype=torch.float64))
    at = cloud(5, 1).points
    assert torch.allclose(E.gradient(mu, at), Energy.gradient(E, mu, at), rtol=1e-10, atol=1e-12)
    assert torch.allclose(E.hessian(mu, at), Energy.hessian(E, mu, at), rtol=1e-9, atol=1e-10)
    points = mu.points.clone().requires_grad_()
    (slope,) = torch.autograd.grad(E(mu.moved(points)), points)
    assert torch.allclose(slope / mu.weights[:, None], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", INNER)
def test_the_hessian_along_a_field_agrees_with_automatic_differentiation(name):
    E, mu, v = jko.energies.OnTheta(INNER[name]), cloud(), cloud(9, 2).points
    curvature, plain = E.second_order(mu), Energy.second_order(E, mu)

    def along(c):
        result = (c.blocks @ v[:, :, None])[:, :, 0]
        if c.factor is not None:
            result = result + c.factor @ mu.integrate((c.factor * v[:, :, None]).sum(1))
        return result if c.cross is None else result + c.cross(v)

    assert torch.allclose(along(curvature), along(plain), rtol=1e-9, atol=1e-10)
    assert float(along(curvature)[:, 0].abs().max()) == 0


def test_newton_and_lbfgs_take_the_same_step_with_it():
    pair = cloud().project()
    E = jko.energies.OnTheta(jko.KernelEntropy(0.6)) + jko.SquaredNorm()
    one, other = (
        jko.step(E, pair, tau=0.1, solver=solver).state
        for solver in (jko.LBFGS(tol=1e-11), jko.BlockNewton(tol=1e-11))
    )
    assert torch.allclose(one.lift().points, other.lift().points, atol=1e-10)
    assert torch.allclose(one.H, pair.H / 1.1, atol=1e-10)


def lattice(mean, covariance, h, reach):
    """Atoms on a lattice of spacing h, with the masses of a normal law."""
    line = torch.arange(-reach, reach + h / 2, h, dtype=torch.float64)
    theta = torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    theta = theta + torch.tensor(mean, dtype=torch.float64)
    z = theta - torch.tensor(mean, dtype=torch.float64)
    m = (
        -0.5 * (z @ torch.linalg.inv(torch.tensor(covariance, dtype=torch.float64)) * z).sum(-1)
    ).exp()
    return theta, m / m.sum()


def regression(pair):
    """Mean and covariance of rho, slope and charge at the mean of the best affine H."""
    mean, covariance = pair.mean(), pair.covariance()
    charge = pair.integrate(pair.H)
    mixed = pair.integrate((pair.theta - mean) * (pair.H - charge)[:, None])
    return [
        part.numpy() for part in (mean, covariance, torch.linalg.solve(covariance, mixed), charge)
    ]


def test_kernel_entropy_in_D_follows_the_normal_law_with_affine_charge_in_the_plane():
    mean, covariance = [0.4, -0.2], [[0.3, 0.1], [0.1, 0.25]]
    slope, charge, lam, beta, t = [0.7, -0.4], 0.3, 0.8, 0.3, 0.5
    want = exact.charged_gaussian_flow(mean, covariance, slope, charge, lam=lam, beta=beta, t=t)
    errors = []
    for h, tau in ((0.2, 0.1), (0.1, 0.025)):
        theta, m = lattice(mean, covariance, h, 2.2)
        z = theta - torch.tensor(mean, dtype=torch.float64)
        pair = jko.ChargedParticles(theta, charge + z @ torch.tensor(slope, dtype=z.dtype), m)
        E = lam * jko.SquaredNorm() + beta * jko.energies.OnTheta(jko.KernelEntropy(h**0.99))
        run = jko.flow(E, pair, tau=tau, t1=t)
        assert run.slacks.min() > 0
        got = regression(run.final)
        errors.append([np.abs(g - w).max() for g, w in zip(got, want, strict=True)])
    coarse, fine = np.array(errors)
    assert np.all(fine < 3e-3), errors
    assert np.all(coarse / fine > 3.5), errors  # errors like tau + h^2


def test_a_measure_on_the_line_has_no_theta():
    with pytest.raises(ValueError, match=r"needs xi = \(w, theta\)"):
        jko.energies.OnTheta(jko.SquaredNorm())(jko.Particles([[1.0]]))
