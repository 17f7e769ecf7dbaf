"""What was found in snapshots, and what speaks for it and against it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jko.energies import Potential
from jko.metrics.couplings import Array
from jko.shown import Shown

SCHEMES = ("implicit", "explicit")
UNEXPLAINED = 0.05  # of the speed: a larger residual is not called an explanation
ROUNDING = 1e-8  # residuals below it are the same
BETTER = 0.5  # times the residual: the other scheme is named where its own is below


@dataclass(frozen=True, eq=False)
class SnapshotFit(Shown):
    """A potential found in snapshots, with what speaks for it and against it.

    Attributes
    ----------
    potential : Potential
        ``int V dmu``, to go on with: ``jko.flow(found.potential, ...)``.
    coefficients : (p,)
        c of ``V = sum_l c_l phi_l``, in the order of the features.
    scheme : str
        The scheme that was said to have made the snapshots.
    residuals : (T,)
        ``|(x - y) / tau + grad V|`` over ``|x - y| / tau`` in L2, of each transition.
    held_out : (T,)
        The same of each transition where V is fitted to all *other* ones; NaN where there is no other.
    residual, other : float
        That of all transitions together, and that of the best fit of the other scheme.
    condition : float
        Of the least squares problem, columns scaled to one: above 1e8 the coefficients (not V) mean little.
    exact : bool
        Whether every plan was proved optimal.
    """

    potential: Potential = field(repr=False)
    coefficients: Array
    scheme: str
    residuals: Array
    held_out: Array
    residual: float
    other: float
    condition: float
    exact: bool

    @property
    def fits_better(self) -> str:
        """The scheme with the smaller residual; where both explain all, as of a quadratic V, the one that was said."""
        return (
            self.scheme if self.residual <= max(self.other, ROUNDING) else other_scheme(self.scheme)
        )

    @property
    def refused(self) -> str | None:
        """Why this V is no explanation of the data, in a sentence; None where nothing speaks against it."""
        if self.fits_better != self.scheme and self.other < BETTER * self.residual:
            return (
                f"read as {self.scheme} steps the snapshots leave {self.residual:.2g} of their speed unexplained, as "
                f"{self.fits_better} ones {self.other:.2g}; pass scheme={self.fits_better!r} if they were made so"
            )
        worst = max(self.residual, *self.held_out[np.isfinite(self.held_out)], 0.0)
        if worst > UNEXPLAINED:
            return (
                f"a share of {worst:.2g} of the speed is that of no potential in the span (of all transitions, or "
                "of one that was held out); take richer features, or another energy: interaction, diffusion"
            )
        return None

    def __str__(self) -> str:
        """One line."""
        return (
            f"V from {len(self.residuals)} {self.scheme} transitions by {len(self.coefficients)} features: residual "
            f"{self.residual:.1e} (held out {np.max(self.held_out):.1e}; as {other_scheme(self.scheme)} steps "
            f"{self.other:.1e}), condition {self.condition:.0e}"
            + (f"; {why}" if (why := self.refused) else "")
        )


def other_scheme(scheme: str) -> str:
    """The one of the two that it is not."""
    return SCHEMES[scheme == "implicit"]
