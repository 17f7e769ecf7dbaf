"""What the three readings of Remark 4.1 do to the energy of a pair: noise in theta, and H."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jko import checks
from jko.energies import Energy, sorted_terms
from jko.limits.rule import CARRIES, Noise
from jko.limits.systems import chaos
from jko.measures import ChargedDensity
from jko.measures.tensors import on_numbers
from jko.shown import Shown, cells

SMALL = 1e-3  # of the time in which the energy falls by itself: how long is measured
LONGEST = 1e-3


@dataclass(frozen=True)
class NoiseReading(Shown):
    """How the energy of a pair begins to change, read in one way.

    Attributes
    ----------
    noise : "carried", "literal" or "averaged"
        What the velocity of diffusion does to H.
    rate : float
        dE/dt by formula.
    measured : float
        The same from the energies of a short run on the grid.

    Examples
    --------
    >>> import jko
    >>> jko.diagnostics.NoiseReading("literal", 4.5, 4.499).dissipates
    False
    """

    noise: Noise
    rate: float
    measured: float

    @property
    def dissipates(self) -> bool:
        """Whether the energy falls."""
        return self.rate <= 0


@dataclass(frozen=True)
class NoiseReadings(Shown):
    """The three readings of one pair; prints as a table.

    Attributes
    ----------
    carried, literal, averaged : NoiseReading

    Examples
    --------
    >>> import jko
    >>> falls = jko.diagnostics.NoiseReading("carried", -4.5, -4.49)
    >>> rises = jko.diagnostics.NoiseReading("literal", 4.5, 4.49)
    >>> print(jko.diagnostics.NoiseReadings(falls, rises, falls))
           noise       dE/dt    measured      energy
         carried        -4.5       -4.49       falls
         literal         4.5        4.49       rises
         carried        -4.5       -4.49       falls
    """

    carried: NoiseReading
    literal: NoiseReading
    averaged: NoiseReading

    def __iter__(self) -> Iterator[NoiseReading]:
        return iter((self.carried, self.literal, self.averaged))

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (r.noise, f"{r.rate:.5g}", f"{r.measured:.5g}", "falls" if r.dissipates else "rises")
            for r in self
        ]

    def __str__(self) -> str:
        head = ("noise", "dE/dt", "measured", "energy")
        return "\n".join("".join(f"{entry:>12}" for entry in row) for row in (head, *self._rows()))

    def _picture(self) -> str:
        return cells.table(["noise", "dE/dt", "measured", "energy"], self._rows())


@on_numbers
def noise_readings(energy: Energy, state: ChargedDensity) -> NoiseReadings:
    """Which of three readings of (3.23) with a Laplacian lowers the energy: by formula, and by a short run of each.

    rho moves alike in all of them, by ``-grad_theta phi - c grad log rho``.  H is carried by both parts, or by the
    first alone, or it is the mean of the charges of atoms that meet by their noise: :data:`jko.limits.chaos`.

    Parameters
    ----------
    energy : Energy
        G with ``c * Entropy()``, c > 0, and no other internal energy.
    state : ChargedDensity
        The pair, on cells that resolve it; H finite in all cells.

    Returns
    -------
    NoiseReadings

    Raises
    ------
    ValueError
        No entropy, or another internal energy.

    Notes
    -----
    Source: survey Remark 4.1.  Only the first is a gradient flow, that of the energy in D.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedDensity.from_function(
    ...     jko.Grid((-3.0, 3.0), 300), lambda x: (-2 * x[:, 0] ** 2).exp(), lambda x: 3 * x[:, 0]
    ... )
    >>> found = jko.diagnostics.noise_readings(jko.SquaredNorm() + jko.Entropy(), pair)
    >>> [round(reading.measured, 1) for reading in found]
    [-4.5, 4.5, -13.5]
    """
    checks.kind("energy", energy, Energy)
    checks.kind("state", state, ChargedDensity, hint="the formulas need grad H and rho")
    if not sum(c for c, _ in sorted_terms(energy).internal) > 0:
        raise ValueError(
            "the energy has no entropy of rho, so there is no noise to read: add c * jko.Entropy()"
        )
    rates = {noise: chaos.rate(energy, state, noise=noise) for noise in CARRIES}
    size = max(map(abs, rates.values()))
    dt = min(LONGEST, SMALL * max(abs(float(energy(state))), 1.0) / size) if size > 0 else LONGEST
    found = {}
    for noise, rate in rates.items():
        run = chaos(energy, state, t1=4 * dt, times=[dt, 2 * dt, 3 * dt], noise=noise)
        slope = float(run.energies @ np.array([-25, 48, -36, 16, -3])) / (12 * dt)
        found[noise] = NoiseReading(noise, rate, slope)
    return NoiseReadings(**found)
