"""Interactions of densities on grids are convolutions: the same numbers as the sum over pairs of cells."""

import math

import numpy as np
import pytest
import torch

import jko
from jko.energies import sampled
from jko.numerics.convolution import Convolution, Differences

RNG = np.random.default_rng(11)
BOXES = {
    "line": ((-1.0, 2.0), (37,)),
    "plane": (((-1.0, 1.0), (0.0, 5.0)), (16, 21)),
    "thin": (((0.0, 1.0), (0.0, 7.0)), (1, 9)),
    "space": (((-1.0, 1.0), (0.0, 5.0), (0.0, 0.1)), (5, 6, 7)),
}
KERNELS = {
    "square": lambda z: z.square().sum(-1),
    "gauss": lambda z: torch.exp(-z.square().sum(-1)),
    "skew": lambda z: torch.sin(z.sum(-1)) + torch.cos(2 * z[:, 0] + z[:, -1]),
}


def log(z):
    return -z.norm(dim=1).log()


def noise(name):
    bounds, shape = BOXES[name]
    grid = jko.Grid(bounds, shape)
    values = RNG.random(shape)
    values[values < 0.2] = 0.0
    return jko.GridDensity(grid, values / values.sum() / grid.cell)


@pytest.mark.parametrize("W", KERNELS.values(), ids=KERNELS.keys())
@pytest.mark.parametrize("box", BOXES)
def test_it_is_the_sum_over_pairs(box, W):
    rho, E = noise(box), jko.Interaction(W)
    atoms = rho.atoms  # a sum over pairs
    assert float(E(rho)) == pytest.approx(float(E(atoms)), rel=1e-12)
    for ask in (E.variation, E.gradient):
        here, there = ask(rho), ask(atoms)
        assert float((here - there).abs().max()) <= 1e-12 * float(there.abs().max())


@pytest.mark.parametrize("box", BOXES)
def test_without_its_diagonal_too(box):
    rho, E = noise(box), jko.Interaction(log, diagonal=False)
    assert float(E(rho)) == pytest.approx(float(E(rho.atoms)), rel=1e-12)
    here, there = E.gradient(rho), E.gradient(rho.atoms)
    assert float((here - there).abs().max()) <= 1e-12 * float(there.abs().max())


@pytest.mark.parametrize(
    ("W", "spacing", "mean"),
    [
        (log, (0.1,), 1 - math.log(0.05)),
        (log, (0.2, 0.2), 1.5 - math.pi / 4 - math.log(0.1) - 0.5 * math.log(2)),
        (lambda z: z.norm(dim=1) ** -0.5, (2.0,), 2.0),
        (lambda z: 1 / z.norm(dim=1), (1.0, 1.0), 4 * math.log(1 + 2**0.5)),
        (lambda z: 1 / z.norm(dim=1), (1.0, 1.0, 1.0), 2.3800773639),
    ],
)
def test_a_cell_meets_itself_by_the_mean_over_a_pole(W, spacing, mean):
    zero = torch.zeros(1, len(spacing), dtype=torch.float64)
    assert float(sampled.at_zero(W, zero, spacing)) == pytest.approx(mean, rel=1e-7)


def test_the_potential_of_a_disc_by_its_logarithm():
    """The uniform law of the disc of radius 1 has the potential (1 - |x|^2) / 2 inside: order two."""
    errors = []
    for n in (40, 80):
        grid = jko.Grid(((-1.5, 1.5),) * 2, (n, n))
        sub = torch.linspace(-0.5, 0.5, 9, dtype=torch.float64)[:-1] + 1 / 16
        moves = torch.cartesian_prod(sub, sub) * grid.spacing[0]

        def share(x, moves=moves):
            return ((x[:, None] + moves).norm(dim=-1) < 1).double().mean(1)

        rho = jko.GridDensity.from_function(grid, share)
        r = grid.centres.norm(dim=1)
        wrong = jko.Interaction(log).variation(rho) - 0.5 * (1 - r**2)
        errors.append(float(wrong[r < 0.8].abs().max()))
    assert errors[1] < 0.35 * errors[0] < 2e-3


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_pole_without_an_integral_is_refused(dim):
    grid = jko.Grid((0.0, 1.0), (4,) * dim)
    rho = jko.GridDensity.from_function(grid, lambda x: 1 + x[:, 0])
    with pytest.raises(ValueError, match="cannot be integrated there"):
        jko.Interaction(lambda z: z.norm(dim=1) ** -dim)(rho)
    assert bool(jko.Interaction(lambda z: z.norm(dim=1) ** -dim, diagonal=False)(rho).isfinite())


def test_poles_elsewhere_and_odd_kernels_are_refused():
    rho = noise("plane")
    with pytest.raises(ValueError, match="not finite at the difference"):
        jko.Interaction(lambda z: 1 / z[:, 0].abs())(rho)
    with pytest.raises(ValueError, match="kernel W is odd"):
        jko.Interaction(lambda z: z[:, 0])(rho)
    with pytest.raises(ValueError, match="kernel W is odd"):
        jko.Interaction(lambda z: z[:, 0] ** 3).gradient(rho)


def test_axes_that_come_round_take_the_shortest_difference():
    """Against the sum over pairs of cells, an even and an odd number of them, one axis walled."""
    shape, spacing = (6, 5, 4), (0.5, 1.0, 0.25)
    over = Differences(shape, spacing, (True, True, False))
    m = torch.from_numpy(RNG.random(shape))

    def W(z):
        return torch.exp(-z.square().sum(-1)) + z.abs().sum(-1)

    found = Convolution.of(over, W(over.points()))(m)
    index = torch.cartesian_prod(*(torch.arange(n) for n in shape))
    k = index[:, None] - index[None]
    for a in (0, 1):
        n = shape[a]
        k[..., a] = (k[..., a] + n // 2) % n - n // 2
    z = k.double() * torch.tensor(spacing, dtype=torch.float64)
    wanted = W(z.reshape(-1, 3)).reshape(m.numel(), -1) @ m.ravel()
    assert torch.allclose(found.ravel(), wanted, rtol=1e-12, atol=1e-12)


def test_it_is_differentiable_in_the_density_and_in_the_kernel():
    rho = noise("plane")
    width = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    E = jko.Interaction(lambda z: torch.exp(-z.square().sum(-1) / width))
    values = rho.values.clone().requires_grad_()
    E(jko.GridDensity.of(rho.grid, values)).backward()
    wanted = E.variation(rho).detach().reshape(values.shape) * rho.grid.cell
    assert torch.allclose(values.grad, wanted, rtol=1e-12)
    (found,) = torch.autograd.grad(E(rho), width)
    (dense,) = torch.autograd.grad(E(rho.atoms), width)
    assert float(found) == pytest.approx(float(dense), rel=1e-10)


def test_a_kept_transform_is_of_one_grid():
    rho, other = noise("plane"), noise("line")
    E = jko.Interaction(KERNELS["gauss"])
    kept = E.tabulated(rho.grid, rho.values)
    assert bool(kept(rho) == E(rho))
    assert bool(kept(other) == E(other))
    assert float(kept(rho.atoms)) == pytest.approx(float(E(rho)), rel=1e-12)


def test_single_precision_stays():
    grid = jko.Grid((0.0, 1.0), (8, 8))
    rho = jko.GridDensity(grid, torch.ones(8, 8))
    assert jko.Interaction(KERNELS["gauss"]).variation(rho).dtype == torch.float32
