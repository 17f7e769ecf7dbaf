"""Remark 4.1 of (3.23) in three readings: closed forms, cells against nodes, atoms with noise, steps of the scheme."""

import numpy as np
import pytest
import torch

import jko
from jko import exact
from jko.diagnostics import noise_readings
from jko.limits import chaos, langevin, transported
from jko.limits.rule import CARRIES

x = torch.linspace(-2, 2, 12, dtype=torch.float64)[:, None]
RISK = jko.Risk(
    jko.Data(x, 1.5 * torch.sin(1.5 * x[:, 0])), activation=lambda theta, x: torch.tanh(x.T + theta)
)
G = RISK + 0.1 * jko.SquaredNorm() + 0.05 * jko.Entropy()


def normal(m, s):
    return lambda theta: (-0.5 * ((theta[:, 0] - m) / s) ** 2).exp()


def wave(theta):
    return 1 + 0.6 * torch.sin(1.3 * theta[:, 0])


@pytest.mark.parametrize("noise", CARRIES)
@pytest.mark.parametrize(
    ("lam", "beta", "m", "s", "h", "k"),
    [(0.8, 0.5, 0.4, 0.6, 0.3, 0.7), (1.3, 0.2, -0.3, 0.9, 0, -2)],
)
def test_affine_pairs_on_nodes_follow_the_closed_form(noise, lam, beta, m, s, h, k):
    energy, t = lam * jko.SquaredNorm() + beta * jko.Entropy(), 0.6
    mesh = jko.ChargedMesh.from_function(
        normal(m, s), lambda z: h + k * (z[:, 0] - m), (m - 6 * s, m + 6 * s), 80
    )
    found = chaos(energy, mesh, t1=t, noise=noise).final
    law = exact.charged_gaussian_flow(
        [m], [[s * s]], [k], h, lam=lam, beta=beta, t=t, carried=CARRIES[noise]
    )
    away = found.theta - found.integrate(found.theta)
    spread = float(found.integrate(away**2))
    assert float(found.integrate(found.theta)) == pytest.approx(law.mean[0], abs=1e-6)
    assert spread == pytest.approx(law.covariance[0, 0], rel=1e-5)
    assert float(found.integrate(away * found.H)) / spread == pytest.approx(law.slope[0], rel=1e-5)
    assert float(found.integrate(found.H)) == pytest.approx(law.charge, abs=1e-6)


@pytest.mark.parametrize("noise", CARRIES)
def test_cells_and_nodes_agree_at_second_order(noise):
    """Of a network, where nothing is known in closed form: two programs."""
    mesh = jko.ChargedMesh.from_function(normal(0.2, 0.5), wave, (-2.8, 3.2), 120)
    run = chaos(G, mesh, t1=0.4, noise=noise).final
    wanted = [float(run.integrate(v)) for v in (run.theta**2, run.H, run.H * run.theta)]
    errors = []
    for n in (40, 80):
        pair = jko.ChargedDensity.from_function(jko.Grid((-3.0, 3.0), n), normal(0.2, 0.5), wave)
        end = chaos(G, pair, t1=0.4, times=[0.4], noise=noise).final
        z, H = end.support[:, 0], end.H.reshape(-1)
        spread = float(end.integrate(z**2)) + end.grid.cell**2 / 12
        found = [spread, float(end.integrate(H)), float(end.integrate(H * z))]
        errors.append(max(abs(a - b) for a, b in zip(found, wanted, strict=True)))
    assert errors[-1] < 3e-3
    assert errors[0] > 2.5 * errors[1]


def test_the_mean_over_atoms_with_noise_is_the_averaged_reading():
    """Atoms keep their charges and meet: their covariance is that of the law, and others are not within its error."""
    lam, beta, t, N, k = 0.5, 0.4, 0.8, 20000, 2.0
    energy, generator = (
        lam * jko.SquaredNorm() + beta * jko.Entropy(),
        torch.Generator().manual_seed(0),
    )
    theta = torch.randn(N, 1, generator=generator, dtype=torch.float64)
    atoms = jko.ChargedParticles(theta, k * theta[:, 0])
    end = langevin(energy, atoms, t1=t, rate=0.02, generator=generator, save=40).final
    z, H = end.theta[:, 0], end.H
    slope = float((z * H).mean() / (z * z).mean())
    laws = [
        exact.charged_gaussian_flow([0.0], [[1.0]], [k], 0.0, lam=lam, beta=beta, t=t, carried=c)
        for c in (0, 1, 2)
    ]
    literal, carried, averaged = (float(law.slope[0]) for law in laws)
    assert slope == pytest.approx(averaged, abs=0.03)
    assert min(abs(literal - averaged), abs(carried - averaged)) > 0.2
    assert float((H - slope * z).var()) > 0.3  # no graph: two charges at one theta


def test_steps_in_D_go_to_the_carried_reading_alone():
    mesh = jko.ChargedMesh.from_function(normal(0.2, 0.5), wave, (-2.0, 2.4), 60)
    ends = {noise: chaos(G, mesh, t1=0.4, noise=noise).final for noise in CARRIES}
    errors = {}
    for tau in (0.1, 0.05):
        end = jko.flow(G, mesh, tau=tau, t1=0.4).final
        for noise, limit in ends.items():
            errors[noise, tau] = float((end.H - limit.H).abs().max())
    assert errors["carried", 0.05] < 0.6 * errors["carried", 0.1] < 0.03
    assert errors["literal", 0.05] > 5 * errors["carried", 0.05]
    assert errors["averaged", 0.05] > 5 * errors["carried", 0.05]


@pytest.mark.parametrize(("a", "m"), [(2.0, 0.0), (0.6, 0.5)])
def test_formulas_and_short_runs_agree(a, m):
    pair = jko.ChargedDensity.from_function(
        jko.Grid((-3.0, 3.0), 160), normal(m, 0.5), lambda z: torch.sin(a * z[:, 0]) + z[:, 0]
    )
    energy = RISK + 0.3 * jko.SquaredNorm() + 0.4 * jko.Entropy()
    found = noise_readings(energy, pair)
    for reading in found:
        assert reading.measured == pytest.approx(reading.rate, rel=0.01, abs=2e-3)
    assert found.carried.dissipates
    assert "literal" in str(found)
    assert "<table" in found._repr_html_()


def test_the_averaged_reading_can_raise_the_energy_too():
    """``-c int grad p . grad H`` has no sign where p falls as H rises: Vbar concave in w."""
    energy = jko.SquaredNorm() - jko.Potential(lambda z: 2.0 * z[:, 0] ** 2) + 1.0 * jko.Entropy()
    pair = jko.ChargedDensity.from_function(
        jko.Grid((-3.0, 3.0), 200), normal(0, 1.0), lambda z: torch.sin(6 * z[:, 0])
    )
    found = noise_readings(energy, pair)
    assert found.carried.rate < 0 < found.averaged.rate


def test_what_cannot_be_read_is_said():
    pair = jko.ChargedDensity.from_function(jko.Grid((-3.0, 3.0), 40), normal(0, 1), wave)
    with pytest.raises(ValueError, match="Brownian motion is the noise of"):
        chaos(jko.SquaredNorm() + jko.PorousMedium(2), pair, t1=0.1, noise="averaged")
    with pytest.raises(ValueError, match=r"\(3\.21\) is no system of atoms"):
        transported.rate(G, pair, noise="averaged")
    with pytest.raises(ValueError, match="there is no noise to read"):
        noise_readings(RISK, pair)
    with pytest.warns(DeprecationWarning, match='noise="literal"'):
        old = chaos.rate(G, pair, literal=True)
    assert old == chaos.rate(G, pair, noise="literal")


def test_nodes_that_meet_end_it():
    """Where the graph of H folds, (3.23) without diffusion has no density any more."""
    mesh = jko.ChargedMesh.from_function(
        normal(0.2, 0.6), lambda z: 6 * torch.sin(2 * z[:, 0]), (-1.5, 2.0), 60
    )
    with pytest.raises(jko.limits.LimitStopped, match="two nodes meet at t = 0"):
        chaos(RISK, mesh, t1=4.0)


def test_without_diffusion_nodes_are_characteristics():
    mesh = jko.ChargedMesh.from_function(normal(0.2, 0.5), wave, (-1.5, 1.8), 20)
    energy = RISK + 0.1 * jko.SquaredNorm()
    nodes = chaos(energy, mesh, t1=0.5).final
    atoms = jko.limits.wasserstein(energy, mesh.to_particles(), t1=0.5).final
    assert np.allclose(nodes.theta, atoms.theta[:, 0], atol=1e-7)
    assert np.allclose(nodes.H, atoms.H, atol=1e-7)
