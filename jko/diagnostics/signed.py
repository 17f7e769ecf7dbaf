"""The minimum over signed measures: what (2.6) becomes when only ``m = H rho`` is looked at (survey section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.energies import Risk
from jko.energies.losses import SquaredLoss
from jko.measures import ChargedParticles, State
from jko.measures.tensors import on_numbers
from jko.shown import Shown
from jko.spaces import Grid

RANK = 1e-12  # singular values below it, of the largest, are rounding


@dataclass(frozen=True, eq=False)
class SignedMinimum(Shown):
    """The signed measure on given places that fits best, of those the one of least norm.

    Attributes
    ----------
    theta : (N, d)
        The places.
    masses : (N,)
        m of each, of either sign, of least sum of squares.
    value : float
        ``1/2 int (f - f_m)^2 dx``, the minimum over all signed measures on these places.
    rank : int
        Of the features there: at the number M of data every f is fitted.
    risk : Risk

    Examples
    --------
    >>> import jko
    >>> data = jko.Data([[0.0], [1.0]], [1.0, 3.0])
    >>> R = jko.Risk(data, activation=lambda theta, x: theta * x.T)
    >>> found = jko.diagnostics.signed_minimum(R, [[1.0], [2.0]])
    >>> found.masses.tolist(), round(found.value, 12), found.rank
    ([0.6, 1.2], 0.25, 1)
    """

    theta: Tensor
    masses: Tensor
    value: float
    rank: int
    risk: Risk = field(repr=False)

    def _facts(self) -> dict[str, Any]:
        N, total = len(self.masses), self.total
        return {"value": self.value, "rank": self.rank, "places": N, "total": total}

    @property
    def total(self) -> float:
        """The total variation ``|m|(Theta)``."""
        return float(self.masses.abs().sum())

    @property
    def pair(self) -> ChargedParticles:
        """A pair (rho, H) with ``H rho = m``: ``rho = |m| / total`` and H = total or -total.

        Among all pairs with this m it has the least ``int H^2 drho``, total^2, by the inequality of Cauchy and Schwarz.
        """
        some = self.masses != 0
        if not bool(some.any()):
            return ChargedParticles(self.theta[:1], torch.zeros_like(self.masses[:1]))
        m = self.masses[some]
        return ChargedParticles(self.theta[some], self.total * m.sign(), m.abs() / self.total)

    def slope(self, theta: Any) -> Tensor:
        """``<f_m - f, h(theta, .)>`` at places (n, d), shape (n,): mass lowers the value where it is not zero.

        At the places of m it vanishes.  A signed measure m' of total variation T has at least the value
        ``value - T sup |slope|``, the supremum over where it may be.
        """
        theta = checks.shape("theta", checks.floats("theta", theta, self.theta), ("n", "d"))
        return _features(self.risk, theta) @ (self.risk.data.weights * self.residual)

    @property
    def residual(self) -> Tensor:
        """``f_m - f`` at the data, (M,)."""
        return self.masses @ _features(self.risk, self.theta) - self.risk.data.f


@on_numbers
def signed_minimum(risk: Risk, theta: Any) -> SignedMinimum:
    """Minimise ``1/2 int (f - int h(theta, x) m(dtheta))^2 dx`` over the signed measures m on given places.

    Parameters
    ----------
    risk : Risk
        With an activation h, one output and the squared loss; without potential, as (2.6).
    theta : (N, d), Grid or State
        The places: points of Theta, the centres of a grid's cells, or those of a pair or density on Theta.

    Raises
    ------
    TypeError, ValueError
        Another energy: with a potential, a measure mu is not seen through its m alone.

    Notes
    -----
    Source: survey section 2.3, where it is equivalent to (2.6): every measure mu with ``int w mu(dw, dtheta) = m`` has
    the risk of m, and every m is that of some mu.  On given places it is a problem of least squares, solved by the
    singular values of the features with the weights of the data.

    Examples
    --------
    >>> import jko, torch
    >>> x = torch.linspace(-2, 2, 20, dtype=torch.float64)[:, None]
    >>> R = jko.Risk(jko.Data(x, torch.sin(2 * x[:, 0])), activation=jko.GaussianBump(0.5))
    >>> found = jko.diagnostics.signed_minimum(R, jko.Grid((-3.0, 3.0), 40))
    >>> found.value < 1e-4, abs(float(R(found.pair)) - found.value) < 1e-10
    (True, True)
    """
    checks.kind("risk", risk, Risk, hint="jko.Risk(data, activation=h); without a potential")
    if risk.activation is None or risk.data.k > 1 or not isinstance(risk.loss, SquaredLoss):
        raise ValueError(
            "signed measures are those of Phi = w h(theta, x) with one output and the squared loss: "
            "jko.Risk(data, activation=h)"
        )
    places = _places(risk, theta)
    root, f = risk.data.weights.sqrt(), risk.data.f
    U, s, Vt = torch.linalg.svd(_features(risk, places) * root, full_matrices=False)
    rank = int((s > RANK * s[0]).sum())
    masses = U[:, :rank] @ ((Vt[:rank] @ (root * f)) / s[:rank])
    misfit = root * (masses @ _features(risk, places) - f)
    return SignedMinimum(places, masses, 0.5 * float(misfit @ misfit), rank, risk)


def _places(risk: Risk, theta: Any) -> Tensor:
    if isinstance(theta, Grid):
        return theta.centres.to(risk.data.x)
    if isinstance(theta, State):
        return theta.support.to(risk.data.x)
    return checks.shape("theta", checks.floats("theta", theta, risk.data.x), ("N", "d"))


def _features(risk: Risk, theta: Tensor) -> Tensor:
    """h at places and data, (N, M)."""
    assert risk.activation is not None
    return risk.activation(theta, risk.data.x)
