"""How far one measure is above another in energy, term by term: the identities of survey 4.1-4.3.

For any two measures, with ``phi = (dF/dmu)(mu_*)``,

``F(mu) - F(mu_*) = 1/2 |f_mu - f_{mu_*}|^2 + sum_i c_i int B_i(rho, rho_*) + int phi d(mu - mu_*)``

where ``B(r, s) = U(r) - U(s) - U'(s)(r - s) >= 0``; of the entropy ``int B`` is KL(mu, mu_*), of ``1/2 int mu^2`` it is
``1/2 int (mu - mu_*)^2``.  Of another loss l its Bregman divergence ``l(y) - l(y_*) - l'(y_*)(y - y_*)`` stands for the
square.  At a minimiser phi equals a constant l on the support and is at least l elsewhere, so that the last term is
``int (phi - l) dmu >= 0``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from jko import checks
from jko.energies import Energy, Internal, Linear, Risk, sorted_terms
from jko.measures import GridDensity, State
from jko.measures.tensors import on_numbers
from jko.metrics.alike import alike
from jko.shown import shown


@shown
class Decomposition(NamedTuple):
    """The terms of ``F(mu) - F(mu_*)``.

    Attributes
    ----------
    risk
        ``1/2 |f_mu - f_{mu_*}|^2`` over all risks, of other losses their Bregman divergences, >= 0.
    internal
        The Bregman divergences of the internal energies, >= 0: KL for the entropy.
    rest
        The same remainder of all other energies; 0 for potentials.
    slope
        ``int (dF/dmu)(mu_*) d(mu - mu_*)``; >= 0 for every mu if mu_* is a minimiser.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.Particles([[3.0]]), jko.Particles([[1.0]])
    >>> found = jko.diagnostics.decomposition(jko.SquaredNorm(), a, b)
    >>> sum(found)  # F(a) - F(b)
    4.0
    """

    risk: float
    internal: float
    rest: float
    slope: float

    @property
    def total(self) -> float:
        """``F(mu) - F(mu_*)``."""
        return self.risk + self.internal + self.rest + self.slope


@on_numbers
def decomposition(energy: Energy, mu: State, star: State) -> Decomposition:
    """``F(mu) - F(star)`` as a sum of terms of known sign.

    Parameters
    ----------
    energy : Energy
        F, any sum of energies.
    mu, star : states of one kind
        Densities must live on one grid, or the energy has no internal term.

    Returns
    -------
    Decomposition
        Its ``total`` is ``F(mu) - F(star)`` up to rounding.

    Raises
    ------
    TypeError
        For what is no energy or no state; states of two kinds; an internal energy of atoms, which have no density.
    ValueError
        States of two dimensions, dtypes or devices; densities on two grids; an internal energy whose slope is infinite
        (an entropy where ``star`` is zero and ``mu`` is not), where KL = +inf.

    Notes
    -----
    Source: survey (4.5), (4.8) and section 4.3, at a stationary mu_*.  As printed, (4.8) leaves out ``int (phi - l)
    dmu``, which is positive where mu_* has no full support; and 4.3 has 1 for the constant 1/2 of the first term.

    Examples
    --------
    >>> import jko
    >>> a, b = jko.Particles([[1.0]]), jko.Particles([[0.0]])
    >>> jko.diagnostics.decomposition(jko.SquaredNorm(), a, b)
    Decomposition(risk=0, internal=0, rest=0, slope=0.5)
    """
    checks.kind("energy", energy, Energy)
    for name, state in (("mu", mu), ("star", star)):
        checks.kind(name, state, State, hint="build it by jko.Particles(points)")
    if type(mu) is not type(star):
        raise TypeError(
            f"mu is {type(mu).__name__} but star is {type(star).__name__}; both must be of one kind: "
            "convert one of them, as by to_density, to_particles or lift"
        )
    if isinstance(mu, GridDensity) and isinstance(star, GridDensity) and mu.grid != star.grid:
        raise ValueError(
            f"mu lives on {mu.grid} but star on {star.grid}; the grid must be the same"
        )
    there, here = alike(mu.atoms, star.atoms, ("mu", "star"), "one energy is of one space")
    terms = sorted_terms(energy)
    risk = internal = rest = slope = 0.0

    def tilt(E: Energy) -> float:
        return float(
            there.integrate(E.variation(star, there.points)) - here.integrate(E.variation(star))
        )

    with torch.no_grad():
        for c, E in terms.internal:
            part, lean = _internal(E, mu, star)
            internal, slope = internal + c * part, slope + c * lean
        for c, other in terms.without(Internal):
            slope += c * tilt(other)
        for c, R in terms.risks:
            risk += c * R.divergence(R.predict(mu), R.predict(star))
        for c, other in terms.without(Internal, Risk, Linear):
            rest += c * (float(other(mu) - other(star)) - tilt(other))
    return Decomposition(risk, internal, rest, slope)


def _internal(E: Internal, mu: State, star: State) -> tuple[float, float]:
    """``int B(rho, rho_*)`` and ``int U'(rho_*) (rho - rho_*)``."""
    there, here = E._of_density(mu), E._of_density(star)
    if not (there.values.shape == here.values.shape and torch.equal(there.support, here.support)):
        raise ValueError(
            f"mu lives on the cells of {mu!r} but star on those of {star!r}; {E!r} compares them cell by cell, so the "
            "cells must be the same: take to_density(grid) of both"
        )
    r, s, volumes = there.values.reshape(-1), here.values.reshape(-1), here.volumes
    slope = torch.where((s > 0) | (r > 0), E.slope(s), 0.0)
    if not bool(torch.isfinite(slope).all()):
        mass = float((volumes * r)[~torch.isfinite(slope)].sum())
        raise ValueError(
            f"star is zero in cells where mu has mass {mass:.3g}, and the slope of {E!r} is infinite there: the "
            "divergence is +inf. Take for star a density that is positive there"
        )
    tilt = slope * (r - s)
    return float((volumes * (E.U(r) - E.U(s) - tilt)).sum()), float((volumes * tilt).sum())
