"""Whether the variation of an energy that somebody wrote is the derivative of its values."""

from __future__ import annotations

import numpy as np
import torch

from jko.derivatives import OVERRIDE, Disagreement, along_moves, beside
from jko.energies.base import Energy
from jko.measures import ChargedParticles, Particles, State


def check_variations(energy: Energy, state: State) -> None:
    """Compare, for atoms, the gradients of energies from outside this package with differences of their values.

    Raises
    ------
    ValueError
        ``d/ds E((id + s v)_# mu)`` is not ``int grad dE/dmu . v dmu``, for two moves v near the state.

    Examples
    --------
    >>> import jko
    >>> jko.energies.check_variations(jko.SquaredNorm(), jko.Particles([[1.0]]))
    """
    if not isinstance(state, (Particles, ChargedParticles)):
        return
    for _, E in energy.terms:
        if not _is_foreign(E):
            continue
        try:
            with np.errstate(all="ignore"):
                wrong = _disagreement(E, state.atoms)
        except Exception:  # not defined at these points, which are ours and not the user's
            continue
        if wrong is not None:
            raise ValueError(
                f"the variation of {type(E).__name__} is not the derivative of its values: along a move of the atoms "
                f"its slope is {wrong.slope:.6g}, and that of the values {wrong.difference:.6g}; "
                "variation(state, at) must be dE/dmu(at); if it is, " + OVERRIDE
            )


def _is_foreign(energy: Energy) -> bool:
    inner = getattr(energy, "energy", None)
    if isinstance(inner, Energy) and any(_is_foreign(E) for _, E in inner.terms):
        return True
    return type(energy).__module__.partition(".")[0] != "jko"


def _disagreement(energy: Energy, mu: Particles) -> Disagreement | None:
    with torch.inference_mode(False), torch.no_grad():
        x = beside(mu.points)
        gradient = energy.gradient(mu.moved(x))
        return along_moves(x, lambda z: energy(mu.moved(z)), lambda v: mu.inner(gradient, v))
