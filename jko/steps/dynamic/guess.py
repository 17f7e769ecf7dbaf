"""A first potential where no earlier step left one.

At the end of a step ``E'(rho) + V`` is the potential, half a step earlier ``inf_y E'(rho)(y) + V(y) + |x - y|^2 / tau``
(Hopf and Lax), which is the phi of the dual.  The density in E' is rho_0, smoothed and lifted off zero; a constant
then gives the density of the guess the right mass.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from jko.metrics.c_transform import on_grid
from jko.steps.dynamic.layout import Array
from jko.steps.dynamic.stepper import StepDual

LIFT = 1e-3  # of the largest density
WIDTH = 1.0  # of the filter, in cells
BISECTIONS = 60


def first_guess(stepper: StepDual) -> Array:
    """A potential, padded."""
    _, rho0, V, spacing, tau, _, periodic = stepper.data
    wraps = periodic or (False,) * rho0.ndim
    modes = ["wrap" if round_ else "nearest" for round_ in wraps]
    smooth = gaussian_filter(rho0, WIDTH, mode=modes)
    smooth += LIFT * smooth.max()
    phi = stepper.slope(smooth) + V
    turns = [3 if round_ else 1 for round_ in wraps]  # phi beyond both ends, where it comes round
    rows = list(zip(rho0.shape, spacing, turns, strict=True))
    here = tuple(h * np.arange(n) for n, h, _ in rows)
    there = tuple(h * (np.arange(t * n) - (t // 2) * n) for n, h, t in rows)
    phi = on_grid(here, there, -tau * np.tile(phi, turns)) / tau
    phi[~np.isfinite(phi)] = 0.0
    return balanced(stepper, stepper.pad(phi))


def balanced(stepper: StepDual, phi: Array) -> Array:
    """phi plus the constant for which the density has the mass of rho_0."""

    def excess(c: float) -> float:
        stepper.evaluate(phi + c)
        return float(stepper.rho.sum()) - stepper.mass

    inner = stepper.crop(phi)[np.isfinite(stepper.data.V)]
    if (
        not inner.size
    ):  # a linearised energy that is infinite everywhere: there is nothing to balance
        return phi
    width = 1e-3 * max(float(np.ptp(inner)), 1e-12)
    sign = 1.0 if excess(0.0) < 0 else -1.0
    while sign * excess(sign * width) < 0 and width < 1e300:
        width *= 2.0
    low, high = sorted((0.0, sign * width))
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        value = excess(middle)
        if abs(value) < 1e-2 * stepper.mass:
            return phi + middle
        low, high = (middle, high) if value < 0 else (low, middle)
    return phi + high
