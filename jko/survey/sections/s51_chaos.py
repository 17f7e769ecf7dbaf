"""Section 5.1: how fast N neurons come to their limit, with intervals."""

from __future__ import annotations

import math

import numpy as np
import torch

from jko import exact
from jko.diagnostics import ChaosStudy, Order, chaos_study
from jko.energies import Risk
from jko.measures import Particles
from jko.networks import Data
from jko.survey.claims import Measurement, experiment
from jko.survey.instances import net, power_law

S2, TARGET = 0.8, 1.5
MOMENTS = np.array([[1.0, 0.4], [0.4, 0.8]])  # of the law, E xi xi^T


def _of_order(
    order: Order, study: ChaosStudy, errors: torch.Tensor | np.ndarray, name: str
) -> Measurement:
    """1/2 must be in the interval, and neither 0 nor 1: a study that cannot tell them has measured nothing."""
    names = name, "$N^{-1/2}$", "neurons $N$", "error, r.m.s."
    picture = power_law(study.sizes.astype(float), np.asarray(errors), -0.5, names)
    value = order.value if order.excludes(0, 1) else math.nan
    return Measurement(value, 0.5, 0.5 * (order.high - order.low), picture=picture)


@experiment(
    "5.1",
    r"with $\Phi = w\theta x$, $N$ neurons follow the limit uniformly in time at order $N^{-1/2}$: the interval "
    "excludes 0 and 1",
)
def uniform_in_time(quick: bool) -> Measurement:
    """The exponent of sup_t |f_N(t) - f(t)|, f from the exact flow of second moments; interval over repeats."""
    x = torch.tensor([[S2**0.5]], dtype=torch.float64)
    F = Risk(Data(x, TARGET * x[:, 0]), features=lambda xi, x: xi[:, :1] * xi[:, 1:] * x.T)
    root = torch.from_numpy(np.linalg.cholesky(MOMENTS))

    def law(N: int, generator: torch.Generator) -> Particles:
        return Particles(torch.randn(N, 2, generator=generator, dtype=torch.float64) @ root.T)

    def limit(t: float) -> list[float]:
        P = exact.linear_flow(MOMENTS, s2=S2, target=TARGET, t=t)
        return [S2**0.5 * float((P @ MOMENTS @ P)[0, 1])]

    sizes, repeats = ([8, 64], 12) if quick else ([16, 32, 64, 128], 32)
    times = np.linspace(0, 3, 4 if quick else 13)
    study = chaos_study(
        F, law, sizes=sizes, times=times, repeats=repeats, exact=limit, rtol=1e-4, reference=64
    )
    return _of_order(study.order, study, study.errors, "$\\sup_t |f_N - f|$")


@experiment(
    "5.1",
    r"tanh neurons stay at order $N^{-1/2}$ from the paths that they would have in the limit",
)
def paths_of_neurons(quick: bool) -> Measurement:
    """The exponent of (1/N sum |X_i^N - X_i|^2)^{1/2} at t = 1/2, X_i in the field of a large sample.

    Later the paths of few neurons are as far as they can be, and the exponent of these N is smaller.
    """
    example = net()

    def law(N: int, generator: torch.Generator) -> Particles:
        return Particles.normal(N, 3, generator=generator)

    sizes, repeats = ([16, 128], 16) if quick else ([16, 32, 64, 128], 32)
    study = chaos_study(
        example.F, law, sizes=sizes, times=[0.25, 0.5], repeats=repeats, reference=4000, rtol=1e-4
    )
    errors = (study.paths[:, :, -1] ** 2).mean(axis=0) ** 0.5
    return _of_order(study.path_order, study, errors, "paths at $t = 1/2$")
