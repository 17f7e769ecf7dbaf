"""Remark 4.1: the three evolutions of pairs with a Laplacian."""

from __future__ import annotations

import numpy as np
import torch

from jko.diagnostics import noise_readings
from jko.energies import Entropy, SquaredNorm
from jko.limits.rule import Noise
from jko.limits.systems import System, chaos, separated, transported
from jko.measures import ChargedDensity
from jko.spaces import Grid
from jko.survey.claims import Curve, Measurement, Picture, counterexample, erratum, identity


def _affine(n: int) -> ChargedDensity:
    """rho = N(0, 1/4), H = 3 theta."""
    return ChargedDensity.from_function(
        Grid((-4.0, 4.0), n), lambda x: torch.exp(-2 * x[:, 0] ** 2), lambda x: 3 * x[:, 0]
    )


def _affine_rate(system: System, noise: Noise, quick: bool) -> float:
    """dE/dt at time zero for E = 1/2 int (H^2 + theta^2) drho + Ent(rho)."""
    return system.rate(
        SquaredNorm() + 1.0 * Entropy(), _affine(400 if quick else 1600), noise=noise
    )


@counterexample(
    "Remark 4.1",
    r"a Laplacian in the $\rho$-equation of (3.23) alone can raise the energy: at rate 4.5",
)
def literal_chaos(quick: bool) -> Measurement:
    """No risk, lam = tau = 1, rho = N(0, 1/4), H = 3 theta; the picture has all readings."""
    E, start = SquaredNorm() + 1.0 * Entropy(), _affine(60 if quick else 200)
    curves = []
    readings: tuple[tuple[str, System, Noise], ...] = (
        ("(3.23), literally", chaos, "literal"),
        ("(3.23), H transported too", chaos, "carried"),
        ("(3.23), H averaged", chaos, "averaged"),
        ("(3.19)", separated, "literal"),
        ("(3.21), literally", transported, "literal"),
    )
    for name, system, noise in readings:
        run = system(E, start, t1=0.04, times=np.linspace(0, 0.04, 11), noise=noise)
        curves.append(Curve(run.times, run.energies, name))
    picture = Picture(tuple(curves), "$t$", "$G + $ Ent$(\\rho)$")
    return Measurement(_affine_rate(chaos, "literal", quick), 4.5, 0.01, picture=picture)


@erratum(
    "Remark 4.1",
    r"the gradient flow in $D$ transports $H$ by $-\tau \nabla \log \rho$ too, and dissipates",
)
def transported_charge(quick: bool) -> Measurement:
    """The rate in the same example; as printed, that of the literal reading."""
    return Measurement(
        _affine_rate(chaos, "carried", quick),
        -4.5,
        0.01,
        printed=_affine_rate(chaos, "literal", quick),
    )


@identity(
    "Remark 4.1",
    r"(3.19) with a Laplacian is the split gradient flow of $G + \tau \operatorname{Ent}$: it dissipates",
)
def literal_separated(quick: bool) -> Measurement:
    """The rate in the same example."""
    return Measurement(_affine_rate(separated, "literal", quick), -11.25, 0.02)


@counterexample(
    "Remark 4.1", r"(3.21) with a Laplacian for $\rho$ can raise the energy: at rate 11.25"
)
def literal_transported(quick: bool) -> Measurement:
    """The rate in the same example."""
    return Measurement(_affine_rate(transported, "literal", quick), 11.25, 0.02)


@identity(
    "Remark 4.1",
    r"with noise in $\theta$, and $H$ the mean over atoms that keep their charges, the energy falls at rate 13.5",
)
def averaged_chaos(quick: bool) -> Measurement:
    """dE/dt in the same example, from a short run on the grid."""
    start = _affine(200 if quick else 400)
    return Measurement(
        noise_readings(SquaredNorm() + 1.0 * Entropy(), start).averaged.measured, -13.5, 0.04
    )
