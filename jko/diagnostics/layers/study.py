"""How fast networks with two hidden layers, of random neurons, come to the flow of infinitely many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks, limits
from jko.diagnostics.layers.result import Array, LayerStudy, order_of
from jko.energies import Energy, TwoLayerRisk, sorted_terms
from jko.flows import flow
from jko.measures import LayerKernels, TwoLayer
from jko.steps import LBFGS
from jko.trajectory import Trajectory


def layer_study(
    energy: Energy,
    law: LayerKernels,
    *,
    t1: float,
    N2: int | Sequence[int | None] | None = (4, 8, 16, 32, 64, 128, 256),
    N1: int | Sequence[int | None] | None = None,
    repeats: int = 16,
    tau: float | None = None,
    times: Sequence[float] | Array | None = None,
    nodes: int = 24,
    generator: torch.Generator | None = None,
    report: Callable[[str], object] | None = None,
) -> LayerStudy:
    """The flow of (5.1) from random neurons, as N1 and N2 grow, against the flow of infinitely many.

    With labels u_i, v_j the sums over both layers are laws of large numbers, and what they tend to is the flow of the
    kernels theta(u), b(u, v), w(v), which is computed with the nodes of a rule of Gauss for neurons of unequal masses.
    Independent parts of b(i, j) enter no force in the limit: with mean zero, they leave b = 0 to start from.

    Parameters
    ----------
    energy : Energy
        A :class:`jko.energies.TwoLayerRisk` and what is added to it, such as ``1e-3 * jko.SquaredNorm()``, which is
        the mean over both layers too: one energy for all sizes.
    law : LayerKernels
        The law of the networks at time zero.
    t1 : float
        The flow goes from 0 to t1.
    N1, N2 : int, None or sequence of them
        Neurons of the two layers; sequences are taken in step.  None is infinitely many, by the rule of Gauss.  By
        default the error of the second layer is seen alone.  Where b has noise, N1 must be finite with N2: then
        ``N1=N2`` sizes, such as (4, 8, 16), show the order of both.
    repeats : int
        Independent networks of each size, at least 2.
    tau : float, optional
        Steps of the JKO scheme of this size, of all networks and of the reference; by default the flow itself,
        :func:`jko.limits.wasserstein`.
    times : (T,), optional
        Times in (0, t1] at which networks are compared, besides 0 and t1; default ten equal parts.  Of steps, multiples
        of tau.
    nodes : int
        Of the rule of Gauss, for each number of a label.
    generator : torch.Generator, optional
        Where random numbers come from; default one with the seed 0.
    report : callable, optional
        Called with a line after each size; ``print`` shows how it goes.

    Returns
    -------
    LayerStudy

    Raises
    ------
    TypeError
        An energy without a TwoLayerRisk.
    ValueError
        Sizes that cannot be taken in step; noise with infinitely many neurons in one layer alone.

    Notes
    -----
    Source: survey 5.2, which asks for this limit.  It is known under names of its own (Nguyen and Pham 2020; Araujo,
    Oliveira and Yukimura 2019); the order 1/2 is that of the law of large numbers.

    Examples
    --------
    >>> import jko, torch
    >>> x = torch.linspace(-1, 1, 12, dtype=torch.float64)[:, None]
    >>> F = jko.energies.TwoLayerRisk(jko.Data(x, torch.sin(3 * x[:, 0])))
    >>> law = jko.measures.LayerKernels(
    ...     theta=lambda u: 6 * u - 3,
    ...     b=lambda u, v: (2 * u - v)[..., 0],
    ...     w=lambda v: 2 * v[:, 0] - 1,
    ... )
    >>> study = jko.diagnostics.layer_study(F, law, t1=1.0, N2=(8, 64, 512), repeats=8)
    >>> study.order.low < 0.5 < study.order.high
    True
    """
    checks.kind("law", law, LayerKernels, hint="the law of the neurons of both layers")
    t1, repeats = checks.number("t1", t1, above=0), checks.count("repeats", repeats, 2)
    nodes = checks.count("nodes", nodes, 3)
    sizes = _sizes(N1, N2)
    kept = np.linspace(0, t1, 11)[1:] if times is None else np.asarray(times, dtype=float)
    run = _runner(energy, t1, kept, tau)
    reference, norm = run(law.limit(nodes)), _norm(energy)
    doubt = norm(run(law.limit(max(2, 2 * nodes // 3))) - reference).max()
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    found = []
    for a, b in sizes:
        nets = (_drawn(law, a, b, nodes, generator) for _ in range(repeats))
        found.append(np.stack([norm(run(net) - reference) for net in nets]))
        if report is not None:
            worst = np.sqrt(np.square(found[-1].max(1)).mean())
            report(f"N1 = {a or 'inf'}, N2 = {b or 'inf'}: error {worst:.3e}")
    each = np.stack(found)  # (K, R, T)
    errors, first = each.max(2), np.array([a or 0 for a, _ in sizes])
    second = np.array([b or 0 for _, b in sizes])
    order = order_of(second if len(set(second.tolist())) > 1 else first, errors)
    at = np.sqrt(np.square(each).mean(1))
    size = float(norm(reference).max())
    kept = np.concatenate([[0.0], kept])
    return LayerStudy(first, second, errors, at, kept, float(doubt), size, order)


def _sizes(N1: Any, N2: Any) -> list[tuple[int | None, int | None]]:
    """Pairs of sizes, one of which varies."""
    first, second = (
        (N,) if N is None or isinstance(N, int) else checks.items(name, N)
        for name, N in (("N1", N1), ("N2", N2))
    )
    if len(first) != len(second) and min(len(first), len(second)) != 1:
        raise ValueError(
            f"N1 has {len(first)} sizes and N2 has {len(second)}; they are taken in step, so give as many, or one"
        )
    K = max(len(first), len(second))
    pairs = list(zip(first * (K // len(first)), second * (K // len(second)), strict=True))
    for N in (*first, *second):
        if N is not None:
            checks.count("a size N1 or N2", N)
    varying = second if len(set(second)) > 1 else first
    if len(set(varying)) < 2 or None in varying:
        raise ValueError(
            f"N1 = {N1}, N2 = {N2}: an order needs at least two different sizes, of N2 or of N1"
        )
    return pairs


def _drawn(
    law: LayerKernels, N1: int | None, N2: int | None, nodes: int, generator: torch.Generator
) -> TwoLayer:
    if N1 is not None and N2 is not None:
        return law.sample(N1, N2, generator=generator)
    return law.half_limit(N1=N1, N2=N2, nodes=nodes, generator=generator)


def _runner(
    energy: Energy, t1: float, times: Array, tau: float | None
) -> Callable[[TwoLayer], Array]:
    """From a network to what it says on the data, at time zero and at the times, (T, M)."""
    risk = _risk(energy)

    def run(start: TwoLayer) -> Array:
        if tau is None:
            found: Trajectory = limits.wasserstein(energy, start, t1=t1, times=times, rtol=1e-6)
        else:
            found = flow(energy, start, tau=tau, t1=t1, solver=LBFGS(tol=1e-9))
        near = [int(np.abs(found.times - t).argmin()) for t in (0.0, *times)]
        if np.abs(found.times[near[1:]] - times).max() > 1e-9 * t1:
            raise ValueError(f"times = {times} are not all multiples of tau = {tau}")
        return np.stack([risk.predict(found.states[k]).numpy() for k in near])

    return run


def _risk(energy: Energy) -> TwoLayerRisk:
    checks.kind("energy", energy, Energy)
    risks = sorted_terms(energy).of(TwoLayerRisk)
    if len(risks) != 1:
        raise TypeError(
            f"the energy has {len(risks)} terms jko.energies.TwoLayerRisk; a study is of the network of one"
        )
    return risks[0][1]


def _norm(energy: Energy) -> Callable[[Array], Array]:
    """The norm in L2 of the data, along the last axis."""
    q: Tensor = _risk(energy).data.weights
    weights = q.numpy()
    return lambda f: np.sqrt((weights * f**2).sum(-1))
