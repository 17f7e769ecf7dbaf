"""Internal energies that end, and powers below one: laws, conjugates by search, kernels, and where they are not."""

import numpy as np
import pytest
import torch
from numba import njit

import jko
from jko.energies import Congestion, Mixture
from jko.steps.dynamic.conjugates import conjugate, kind_of
from jko.testing import check_energy

SUMS = {
    "limit": [(1.0, Congestion(1.7))],
    "two limits": [(3.0, Congestion(1.7)), (1.0, Congestion(2.5))],
    "limit, entropy": [(1.0, Congestion(1.7)), (0.4, jko.Entropy())],
    "limit, power": [(1.0, Congestion(1.7)), (0.4, jko.PorousMedium(3))],
    "limit, fast": [(1.0, Congestion(1.7)), (0.4, jko.PorousMedium(0.6))],
    "fast": [(0.7, jko.PorousMedium(0.5))],
    "fast, slow": [(0.3, jko.PorousMedium(0.8)), (1.0, jko.PorousMedium(3))],
    "fast, entropy": [(2.0, jko.PorousMedium(0.5)), (1.0, jko.Entropy())],
    "all": [
        (0.3, jko.PorousMedium(0.8)),
        (0.2, jko.PorousMedium(2.5)),
        (0.1, jko.Entropy()),
        (1.0, Congestion(1.7)),
    ],
}
PRICES = np.concatenate([-np.geomspace(20, 1e-2, 25), np.geomspace(1e-2, 8, 15)])


@njit
def compiled(kind, prices):
    out = np.empty((len(prices), 3))
    for i, p in enumerate(prices):
        out[i] = conjugate(kind, p)
    return out


@pytest.mark.parametrize("name", SUMS)
def test_the_conjugate_is_the_best_over_densities_and_the_kernels_have_the_same(name):
    U = Mixture.of(SUMS[name])
    prices = PRICES[PRICES < 0] if name == "fast" else PRICES  # it is +inf above
    p = torch.from_numpy(prices)
    value, rho, slope = U.conjugate(p)
    top = min(U.ceiling, 4 * float(rho.max()) + 1)
    tried = torch.cat([torch.zeros(1), torch.logspace(-9, 0, 4001)]).double() * top
    best = (p[:, None] * tried - U.U(tried)).max(1).values
    assert bool((value >= best - 1e-12).all())
    assert torch.allclose(value, best, rtol=1e-4, atol=1e-4)
    assert torch.allclose(p * rho - U.U(rho), value, rtol=1e-10, atol=1e-10)
    assert bool((slope >= 0).all())
    assert torch.allclose(U.density(p), rho)
    log = U.log_density(p)
    assert torch.allclose(log.exp(), rho, atol=1e-12)
    ours = compiled(kind_of(SUMS[name]), prices)
    assert ours == pytest.approx(torch.stack([value, rho, slope], 1).numpy(), rel=1e-11, abs=1e-12)


def test_the_laws_hold():
    for E in (Congestion(2.0), jko.PorousMedium(0.5), jko.PorousMedium(0.9)):
        check_energy(E)
    for name in ("limit, entropy", "limit, fast", "fast, slow"):
        check_energy(Mixture.of(SUMS[name]))


@pytest.mark.parametrize(("m", "d", "fits"), [(0.1, 1, True), (0.5, 2, True), (0.4, 2, False)])
def test_fast_diffusion_is_refused_where_it_is_no_gradient_flow(m, d, fits):
    flat = jko.GridDensity.from_function(
        jko.Grid(((0.0, 1.0),) * d, (6,) * d), lambda x: 1 + 0 * x[:, 0]
    )
    asks = (
        lambda: jko.PorousMedium(m)(flat),
        lambda: jko.step(jko.PorousMedium(m), flat, tau=0.1),
        lambda: jko.minimiser(jko.SquaredNorm() + jko.PorousMedium(m), flat.grid),
        lambda: jko.limits.wasserstein(jko.PorousMedium(m), flat, t1=1e-3),
    )
    for ask in asks:
        if fits:
            ask()
        else:
            with pytest.raises(ValueError, match="convex along geodesics"):
                ask()


def test_arguments_that_are_none_are_refused_in_a_sentence():
    for m in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="m = "):
            jko.PorousMedium(m)
    for limit in (0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="limit"):
            Congestion(limit)
    flat = jko.GridDensity.from_function(jko.Grid((0.0, 1.0), 6), lambda x: 1 + 0 * x[:, 0])
    with pytest.raises(ValueError, match="no diffusion to integrate"):
        jko.limits.wasserstein(Congestion(2.0), flat, t1=0.1)
    with pytest.raises(ValueError, match="step of Sinkhorn"):
        jko.step(Congestion(2.0), flat, tau=0.1, solver=jko.Sinkhorn(0.1))
    charged = jko.ChargedMesh([0.0, 0.5, 1.0], [1.0, 1.0, 1.0], [0.5, 0.5])
    with pytest.raises(ValueError, match="mesh of pairs"):
        jko.step(Congestion(2.0), charged, tau=0.1)


PROFILES = [(1, 300, 0.5), (1, 300, 0.8), (2, 80, 0.6), (2, 80, 0.75), (3, 24, 0.7), (3, 24, 0.9)]


@pytest.mark.parametrize(("d", "n", "m"), PROFILES)
def test_a_step_of_fast_diffusion_is_a_dilation_of_its_profile(d, n, m):
    R, box, part = {1: (0.3, 4.0, 0.06), 2: (0.3, 2.0, 0.06), 3: (0.5, 2.0, 0.3)}[d]
    q, b = d * (m - 1) + 2, jko.exact.barenblatt_flow(0.0, m=m, d=d, t=1.0)
    tau = 0.1 * R**q / (b**q / q)
    grid = jko.Grid(((-box, box),) * d, (n,) * d)

    def profile(radius):
        def f(x):
            return torch.from_numpy(jko.exact.barenblatt(x.numpy(), R=radius, m=m))

        return jko.GridDensity.from_function(grid, f)

    start = profile(R)
    result = jko.step(jko.PorousMedium(m), start, tau=tau, solver=jko.Dynamic(tol=1e-8))
    after = profile(jko.exact.barenblatt_step(R, m=m, d=d, tau=tau))
    wrong = float((result.state.weights - after.weights).abs().sum())
    assert wrong < part * float((start.weights - after.weights).abs().sum())
    assert result.certificate().value < 1e-4
