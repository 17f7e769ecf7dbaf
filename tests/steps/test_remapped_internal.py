"""The step in D of a pair on a grid with internal energies: cells that move carry ``rho / J``."""

import numpy as np
import pytest
import torch

import jko
from jko import exact
from jko.energies import Mixture
from jko.steps.remapped.stretched import Stretched, determinant

POINTS = torch.randn(12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
RISK = jko.Risk(
    jko.Data(POINTS, torch.sin(POINTS[:, 0]) + 0.5 * POINTS[:, 1]),
    activation=lambda theta, x: torch.tanh(theta @ x.T),
)
ENERGIES = {
    "heat": RISK + 0.1 * jko.SquaredNorm() + 0.1 * jko.Entropy(),
    "porous medium": RISK + 0.1 * jko.SquaredNorm() + 0.1 * jko.PorousMedium(2),
}


def plane(n):
    return jko.ChargedDensity.from_function(
        jko.Grid((-3.0, 3.0), (n, n)),
        lambda t: (-((t[:, 0] - 0.3) ** 2 + (t[:, 1] + 0.2) ** 2) / 0.72).exp(),
        lambda t: 1 + 0.6 * torch.sin(1.3 * t[:, 0]) * torch.cos(t[:, 1]),
    )


def affine(grid, mean, covariance, slope, charge):
    """A normal law with an affine charge."""
    mean, slope = (torch.as_tensor(v, dtype=torch.float64) for v in (mean, slope))
    precision = torch.linalg.inv(torch.as_tensor(covariance, dtype=torch.float64))
    return jko.ChargedDensity.from_function(
        grid,
        lambda x: (-0.5 * torch.einsum("ia,ab,ib->i", x - mean, precision, x - mean)).exp(),
        lambda x: charge + (x - mean) @ slope,
    )


def apart(a, b):
    """L1 distances of rho and of H rho."""
    rho = float((a.values - b.values).abs().sum()) * a.grid.cell
    return rho, float((a.signed_measure() - b.signed_measure()).abs().sum()) * a.grid.cell


LAWS = {
    1: ([0.1], [[0.3]], [0.5], (32, 64, 128)),
    2: ([0.1, -0.1], [[0.3, 0.1], [0.1, 0.2]], [0.5, -0.3], (16, 32)),
    3: ([0.1, -0.1, 0.0], np.diag([0.3, 0.25, 0.35]), [0.5, -0.3, 0.2], (12, 24)),
}


@pytest.mark.parametrize("d", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_a_normal_law_with_an_affine_charge_makes_the_step_of_the_closed_form(d, slope):
    mean, S, direction, sizes = LAWS[d]
    b = (slope * np.array(direction)).tolist()
    law = exact.charged_gaussian_step(mean, S, b, 1.0, lam=0.7, beta=0.4, tau=0.1)
    E, errors = 0.7 * jko.SquaredNorm() + 0.4 * jko.Entropy(), []
    for n in sizes:
        grid = jko.Grid((-3.0, 3.0), (n,) * d)
        result = jko.step(E, affine(grid, mean, S, b, 1.0), tau=0.1)
        expected = affine(grid, law.mean.tolist(), law.covariance, law.slope.tolist(), law.charge)
        errors.append(max(apart(result.state, expected)))
        assert float(result.state.mass) == pytest.approx(1, abs=1e-13)
        assert result.slack + result.figures["remap"] >= 0
        if slope == 0:
            H = result.state.H[result.state.values > 0]
            assert H.numpy() == pytest.approx(1 / 1.07, abs=1e-12)
    assert np.log2(errors[0] / errors[-1]) / (len(sizes) - 1) > 1.5
    assert errors[-1] < {1: 2e-3, 2: 2e-2, 3: 0.03}[d]


@pytest.mark.parametrize("name", ENERGIES)
def test_steps_converge_to_the_gradient_flow_in_D_with_first_order(name):
    E, start = ENERGIES[name], plane(28)
    limit = jko.limits.chaos(E, start, t1=0.4, times=[0.4]).final
    errors = []
    for steps in (2, 4):
        run = jko.flow(E, start, tau=0.4 / steps, steps=steps)
        assert run.status is jko.Status.FINISHED
        assert (run.slacks + run.columns["remap"] >= 0).all()
        assert (np.diff(run.energies) < 0).all()
        errors.append(apart(run.final, limit))
    ratio = np.array(errors[0]) / errors[1]
    assert (ratio > 1.7).all()
    assert (ratio < 2.6).all()


def test_the_charge_of_the_signed_measure_moves_with_the_cells():
    start = plane(24)
    E = jko.Potential(lambda z: 0 * z[:, 0]) + 0.2 * jko.Entropy()
    new = jko.step(E, start, tau=0.1).state
    assert float(new.integrate(new.H)) == pytest.approx(float(start.integrate(start.H)), abs=1e-12)
    assert float(new.H.max()) <= float(start.H.max()) + 1e-12
    assert float(jko.Entropy()(new)) < float(jko.Entropy()(start))


def test_heat_between_walls_comes_to_rest_at_the_flat_density():
    start = jko.ChargedDensity.from_function(
        jko.Grid((0.0, 1.0), (12, 10)),
        lambda x: 1 + 0.8 * torch.cos(torch.pi * x[:, 0]) * torch.cos(torch.pi * x[:, 1]),
        lambda x: x[:, 0],
    )
    run = jko.flow(jko.Entropy(), start, tau=0.05, steps=6)
    assert run.status is jko.Status.FINISHED
    assert float((run.final.values - 1).abs().max()) < 0.02
    assert float(run.final.values.min()) > 0


@pytest.mark.parametrize("shape", [(6,), (4, 5), (3, 4, 3), (1, 5)])
@pytest.mark.parametrize("internal", [jko.Entropy(), jko.PorousMedium(3)])
def test_the_slope_is_that_of_the_value(shape, internal):
    rng = np.random.default_rng(1)
    d, values = len(shape), rng.random(shape)
    values.flat[1] = 0.0
    grid = jko.Grid(tuple((0.0, 1.0 + k) for k in range(d)), shape)
    values /= values.sum() * grid.cell
    pair = jko.ChargedDensity(grid, values, np.ones(shape))
    E = Stretched(Mixture.of([(0.7, internal)]), pair)
    atoms = pair.lift()
    assert float(E(atoms)) == pytest.approx(0.7 * float(internal(pair)), rel=1e-13)
    for size in (0.01, 0.4):  # at the second some cells fold
        move = size * torch.from_numpy(rng.standard_normal(atoms.points.shape)) / max(shape)
        way = torch.from_numpy(rng.standard_normal(atoms.points.shape))
        mu = atoms.moved(atoms.points + move)
        found = E.evaluate(mu)
        up, down = (float(E(mu.moved(mu.points + s * way))) for s in (1e-6, -1e-6))
        slope = float((mu.weights[:, None] * found.gradient * way).sum())
        assert (up - down) / 2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_a_uniform_stretch_has_its_determinant():
    F = [[torch.tensor([x]) for x in row] for row in [[2.0, 0.1, 0.3], [0.0, 3.0, -1], [0.5, 0, 1]]]
    for d in (1, 2, 3):
        part = [row[:d] for row in F[:d]]
        matrix = torch.tensor([[float(x) for x in row] for row in part])
        assert float(determinant(part)) == pytest.approx(float(torch.linalg.det(matrix)), rel=1e-6)


def test_empty_cells_stay_out_and_a_porous_medium_spreads():
    grid = jko.Grid((-2.0, 2.0), (24, 24))
    start = jko.ChargedDensity.from_function(
        grid, lambda x: (1 - x.square().sum(-1)).clamp(min=0), lambda x: 1 + x[:, 0]
    )
    new = jko.step(0.5 * jko.PorousMedium(2), start, tau=0.1).state
    grown = [
        float((s.values * s.support.square().sum(-1).reshape(24, 24)).sum()) for s in (start, new)
    ]
    assert grown[1] > grown[0] * 1.05
    assert int((new.values > 0).sum()) > int((start.values > 0).sum())
    assert float(new.values[0, 0]) == 0


def test_what_has_no_step_is_a_sentence():
    with pytest.raises(ValueError, match="Entropy has the coefficient -1"):
        jko.step(jko.SquaredNorm() - jko.Entropy(), plane(6), tau=0.1)
    with pytest.raises(TypeError, match=r"no hard limit .* large m"):
        jko.step(jko.energies.Congestion(9.0), plane(6), tau=0.1)
    with pytest.raises(TypeError, match=r"no fast diffusion .* m >= 1"):
        jko.step(jko.PorousMedium(0.8), plane(6), tau=0.1)
