"""Integrals against the conditional law nu_theta that a row of moments stands for: ``int g(w) nu_theta(dw)``.

From the mean m, the variance s^2 and the further cumulants nu_theta is read as the normal law N(m, s^2) with a density
of polynomials upon it (Gram and Charlier),

    nu_theta = N(m, s^2) (1 + sum_{j>=3} c_j He_j(z)),   z = (w - m) / s,   c_j = E[He_j(z)] / j!,

so that all the moments that are known are right, and a polynomial in w is integrated exactly by the nodes of Gauss and
Hermite.  Where the variance is zero all nodes lie at m: a Dirac mass.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jko.limits.moments import cumulants, moments
from jko.measures import Particles

MORE = 5  # nodes beyond the number of moments: exact for potentials of degree 9 - k in w and less
NARROW = 1e-12  # a variance below it, of the mean square, is rounding
LARGEST = 1.0  # of the coefficients c_j: beyond it the row of moments is that of no measure


class Fibres(NamedTuple):
    """The laws nu_theta at n points as atoms (w, theta): nodes w and shares, both (Q, n), and mu, all Q n of them."""

    w: Tensor
    share: Tensor
    mu: Particles

    @classmethod
    def of(cls, H: Tensor, at: Tensor) -> Fibres:
        """From the moments H_1 ... H_K, (K, n), at points theta (n, d)."""
        w, share = nodes(H)
        xi = torch.cat([w.reshape(-1, 1), at.repeat(len(w), 1)], dim=1)
        return cls(w, share, Particles.of(xi, torch.full_like(xi[:, 0], 1 / len(xi))))

    def moments(self, g: Tensor, count: int) -> Tensor:
        """``int w^i g dnu`` for i = 0 ... count - 1, (count, n), from g at the atoms, (Q n,)."""
        i = torch.arange(count, dtype=self.w.dtype, device=self.w.device).reshape(-1, 1, 1)
        return (self.w**i * (self.share * g.reshape(self.w.shape))).sum(1)


def nodes(H: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes w_q and shares of mass, both (Q, n), that integrate against the law with moments H_1 ... H_K, (K, n).

    Shares add up to one; some may be negative.

    Examples
    --------
    >>> import torch
    >>> from jko.limits.fibres import nodes
    >>> w, share = nodes(torch.tensor([[1.0], [3.0], [7.0]]).double())  # N(1, 2)
    >>> [round(float((share * w**i).sum()), 9) for i in range(5)]
    [1.0, 1.0, 3.0, 7.0, 25.0]
    """
    K = len(H)
    z, omega, hermite = _rule(K + MORE, K, H)
    mean, kappa = H[0], cumulants(H)
    variance = kappa[1] if K > 1 else torch.zeros_like(mean)
    wide = variance > NARROW * (variance.abs() + mean**2)
    spread = torch.where(wide, variance, 1.0).sqrt()
    share = omega[:, None].expand(-1, H.shape[1])
    if K > 2:
        scale = spread ** torch.arange(1, K + 1, dtype=H.dtype, device=H.device)[:, None]
        standard = kappa / scale
        standard[0], standard[1] = 0.0, 1.0
        c = _coefficients(moments(standard))
        share = share * (1 + hermite.T @ torch.where(wide, c, 0.0))
    return mean + z[:, None] * torch.where(wide, spread, 0.0), share


def _coefficients(standard: Tensor) -> Tensor:
    """``c_j = E[He_j] / j!`` for j = 3 ... K from moments of mean 0 and variance 1, (K - 2, n)."""
    K, rows = len(standard), []
    powers = torch.cat([torch.ones_like(standard[:1]), standard])
    for j in range(3, K + 1):
        poly = np.polynomial.hermite_e.herme2poly([0.0] * j + [1.0]) / math.factorial(j)
        rows.append(torch.tensordot(powers.new_tensor(poly), powers[: j + 1], dims=1))
    return torch.stack(rows).clamp(-LARGEST, LARGEST)


@lru_cache
def _gauss(Q: int, K: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    z, omega = np.polynomial.hermite_e.hermegauss(Q)
    hermite = np.polynomial.hermite_e.hermevander(z, K)[:, 3:].T
    return tuple(map(torch.from_numpy, (z, omega / omega.sum(), hermite.copy())))  # type: ignore[return-value]


def _rule(Q: int, K: int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes and masses of N(0, 1), (Q,), and He_3 ... He_K there, (K - 2, Q)."""
    z, omega, hermite = _gauss(Q, K)
    return z.to(like), omega.to(like), hermite.to(like)
