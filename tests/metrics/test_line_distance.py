"""W2 between meshes of the line, and geodesics between them."""

import math

import pytest
import torch
from scipy import integrate

import jko


def meshes(seed):
    generator = torch.Generator().manual_seed(seed)
    found = []
    for N in (7, 12):
        steps = torch.rand(N + 1, generator=generator, dtype=torch.float64)
        masses = torch.rand(N, generator=generator, dtype=torch.float64) + 0.05
        found.append(jko.LineMesh(steps.cumsum(0), masses / masses.sum()))
    return found


def quantile(mesh, s):
    level = torch.cat([torch.zeros(1, dtype=torch.float64), mesh.masses.cumsum(0)])
    i = min(
        int(torch.searchsorted(level, torch.tensor(s, dtype=torch.float64), right=True)) - 1,
        len(mesh.masses) - 1,
    )
    return float(mesh.edges[i] + mesh.volumes[i] * (s - level[i]) / mesh.masses[i])


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_is_the_integral_of_quantile_functions(seed):
    a, b = meshes(seed)
    kinks = sorted({*a.masses.cumsum(0)[:-1].tolist(), *b.masses.cumsum(0)[:-1].tolist()})
    exact = sum(
        integrate.quad(lambda s: (quantile(a, s) - quantile(b, s)) ** 2, low, high)[0]
        for low, high in zip([0.0, *kinks], [*kinks, 1.0], strict=True)
    )
    found = jko.distance(a, b)
    assert found.squared == pytest.approx(exact, rel=1e-10)
    assert found.plan.mass.sum() == pytest.approx(1, abs=1e-14)
    assert jko.distance(b, a).squared == pytest.approx(found.squared, rel=1e-13)


def test_uniform_laws_have_their_closed_form():
    a, b = jko.LineMesh([0.0, 1.0], [1.0]), jko.LineMesh([2.0, 3.0, 5.0], [1 / 3, 2 / 3])
    assert jko.distance(a, b).value == pytest.approx(math.sqrt(3**2 + 2**2 / 12), rel=1e-14)
    assert jko.distance(a, a).squared == 0


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_geodesics_have_constant_speed(t):
    a, b = meshes(5)
    middle = jko.geodesic(a, b, t)
    whole = jko.distance(a, b).value
    assert jko.distance(a, middle).value == pytest.approx(t * whole, abs=1e-12)
    assert jko.distance(middle, b).value == pytest.approx((1 - t) * whole, abs=1e-12)
