"""Random neurons in two layers against the flow of infinitely many."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import jko
from jko import plots
from jko.diagnostics import layer_study
from jko.measures import LayerKernels

x = torch.linspace(-2, 2, 15, dtype=torch.float64)[:, None]
F = jko.energies.TwoLayerRisk(jko.Data(x, torch.sin(2 * x[:, 0])))
LAW = LayerKernels(
    theta=lambda u: 4 * u - 2,
    b=lambda u, v: (3 * torch.sin(3 * u - 2 * v) + v)[..., 0],
    w=lambda v: 4 * v[:, 0] - 1,
)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def study():
    said = []
    found = layer_study(
        F, LAW, t1=1.0, N2=(8, 64, 256), repeats=16, times=[1.0], report=said.append
    )
    assert len(said) == 3
    assert said[0].startswith("N1 = inf, N2 = 8: error ")
    return found


def test_the_order_in_the_second_layer_is_a_half(study):
    _, low, high = study.order
    assert low < 0.5 < high
    assert high - low < 0.3
    assert study.order.excludes(0, 1)


def test_the_error_at_the_start_is_the_deviation_of_a_mean(study):
    """E |f_N - f|^2 at t = 0 is the variance of ``w sigma(s)`` over v, over N; by the rule of Gauss."""
    limit = LAW.limit(40)
    theta, b, w, rho, m = (
        v.numpy() for v in (limit.theta, limit.b, limit.w, limit.weights, limit.masses)
    )
    says = np.tanh(np.tanh(x.numpy() @ theta.T) @ (rho[:, None] * b)) * w
    variance = float((says**2 @ m - (says @ m) ** 2).mean())
    ratio = study.at[:, 0] ** 2 * study.N2 / variance
    assert ratio.mean() == pytest.approx(1, abs=0.5)  # 48 squares of one or two normal numbers


def test_it_prints_its_table_and_draws_it(study):
    assert "order in N2" in str(study)
    assert len(str(study).splitlines()) == 5
    assert "order=0." in repr(study)
    ax = plots.layer_study(study, plots.canvas()[1][0])
    assert ax.get_legend().get_texts()[1].get_text().startswith("order 0.")
    assert "<svg" in study._repr_html_()


def test_both_layers_with_noise_come_to_the_flow_of_the_means():
    """Independent parts of b drop out: from noise alone the limit starts at b = 0, and f from zero."""
    law = replace(LAW, b=lambda u, v: 0 * (u * v)[..., 0], noise=1.0)
    sizes = (8, 64)
    found = layer_study(F, law, t1=1.0, N1=sizes, N2=sizes, repeats=6, times=[1.0])
    assert (np.diff(found.means) < 0).all()
    assert found.order.low > 0.2
    assert found.means[-1] < 0.2 * found.size  # the limit itself has moved away from f = 0


def test_noise_stays_where_it_is():
    """Its part of b(i, j) is carried along: of two networks whose sums agree the differences never change."""
    net = LAW.sample(40, 30, generator=seeded(3))
    first = torch.tanh(net.theta @ x.T)  # (N1, M); noise that the second layer does not see
    blind = torch.linalg.svd(first.T)[2][15:]
    noise = blind.T @ torch.randn(len(blind), 30, generator=seeded(4), dtype=torch.float64)
    other = jko.measures.TwoLayer(net.theta, net.b + 0.1 * noise, net.w)
    speeds = [F.gradient(n) for n in (net, other)]
    assert torch.allclose(speeds[0][:, 1:], speeds[1][:, 1:], atol=1e-12)  # of b and w


def test_steps_of_the_scheme_show_the_same_order():
    options = {"t1": 0.5, "N2": (8, 64), "repeats": 3, "times": [0.5], "nodes": 8}
    found, free = (layer_study(F, LAW, tau=tau, **options) for tau in (0.25, None))
    assert found.means == pytest.approx(free.means, rel=0.1)


def test_the_first_layer_alone_and_a_floor_that_is_said():
    found = layer_study(F, LAW, t1=0.5, N1=(8, 128), N2=None, repeats=8, times=[0.5])
    assert found.varies == "N1"
    assert found.order.low < 0.5 < found.order.high
    floor = layer_study(F, LAW, t1=0.5, N1=6, N2=(8, 128), repeats=3, times=[0.5])
    assert any("N1 = 6 at all sizes" in said for said in floor.remarks)
    rough = layer_study(F, LAW, t1=0.5, N2=(8, 600), repeats=2, times=[0.5], nodes=3)
    assert any("raise nodes" in said for said in rough.remarks)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"N2": 8}, ValueError, "at least two different sizes"),
        ({"N2": (8, None)}, ValueError, "at least two different sizes"),
        ({"N1": (1, 2), "N2": (1, 2, 3)}, ValueError, "they are taken in step"),
        ({"law": replace(LAW, noise=1.0)}, ValueError, "no rule of Gauss can hold"),
        ({"energy": jko.SquaredNorm()}, TypeError, "0 terms jko.energies.TwoLayerRisk"),
        ({"tau": 0.3}, ValueError, "are not all multiples of tau"),
        ({"repeats": 1}, ValueError, "repeats"),
    ],
)
def test_what_cannot_be_studied_is_said(change, kind, said):
    options = {"energy": F, "law": LAW, "t1": 0.6, "N2": (2, 4), "repeats": 2, "nodes": 4}
    with pytest.raises(kind, match=said):
        layer_study(**options | change)
