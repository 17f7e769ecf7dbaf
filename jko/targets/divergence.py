"""The Kullback-Leibler divergence from a density that is known up to a factor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from jko import checks
from jko.energies import Energy, Entropy, KernelEntropy, Potential, Sum


@dataclass(frozen=True, init=False)
class KullbackLeibler(Sum):
    """``KL(mu | pi) - log Z = int log rho dmu - int log_density dmu`` with ``pi = exp(log_density) / Z``.

    It is :class:`jko.Entropy` plus a :class:`jko.Potential`, so every solver of these takes it.  The factor Z need not
    be known: the value differs from the divergence by ``log Z``, and its minimum, at mu = pi, is ``-log Z``.  Its flow
    is the Fokker-Planck equation of the Langevin dynamics of pi.

    Parameters
    ----------
    log_density
        (n, dim) -> (n,), in torch operations, ``distribution.log_prob`` say; -inf where there can be no mass.
    gradient
        Its derivative, (n, dim) -> (n, dim), of one that is not in torch, as in :class:`jko.Potential`.
    bandwidth
        For particles, which have no density: their entropy is then that of the density smoothed by a Gaussian of this
        standard deviation, :class:`jko.KernelEntropy`, and the minimum is only near pi, the less the higher the
        dimension.  Default None: the entropy itself, of a :class:`jko.GridDensity`, :class:`jko.LineMesh`, or pairs of
        such.

    Raises
    ------
    TypeError
        When it is evaluated on particles without a ``bandwidth``: there it is +inf.

    Notes
    -----
    Source: Jordan, Kinderlehrer and Otto, SIAM J. Math. Anal. 29 (1998); survey (4.1)-(4.5).

    Examples
    --------
    >>> import jko
    >>> E = jko.KullbackLeibler(lambda x: -0.5 * (x**2).sum(-1))
    >>> found = jko.minimiser(E, jko.Grid((-6.0, 6.0), 200))
    >>> round(-found.energy, 6)  # log Z = log(2 pi) / 2
    0.918939
    """

    energies: tuple[Energy, ...] = field(repr=False)
    log_density: Callable[[Tensor], Any]
    bandwidth: float | None

    def __init__(
        self,
        log_density: Callable[[Tensor], Any],
        gradient: Callable[[Tensor], Any] | None = None,
        *,
        bandwidth: float | None = None,
    ) -> None:
        checks.function("log_density", log_density, hint="it maps points (n, dim) to numbers (n,)")
        if gradient is not None:
            checks.function("gradient", gradient, hint="pass the derivative of log_density")
            gradient = partial(negative_of, gradient)
        inside: Energy = Entropy() if bandwidth is None else KernelEntropy(bandwidth)
        energies = (Potential(partial(negative_of, log_density), gradient), inside)
        fields = {"energies": energies, "log_density": log_density, "bandwidth": bandwidth}
        for name, value in fields.items():
            object.__setattr__(self, name, value)


def negative_of(function: Callable[[Tensor], Any], points: Tensor) -> Any:
    """``-function(points)``."""
    return -function(points)
