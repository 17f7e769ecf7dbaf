"""The part of a risk's Hessian that couples atoms: ``J C C^T J^T`` with the derivatives J of the features.

``C C^T`` are the second derivatives of the loss, with the quadrature in them.  The part is a factor J C, or, for many
outputs, a product with h and its derivatives alone, of which there are not k times as many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from jko.measures import Particles
from jko.networks import Data, FeatureMap, Outputs

COLUMNS = 3000  # of a factor; beyond, no solver factorises what it makes of them


def factor(features: FeatureMap, data: Data, C: Tensor | None, chunks: Iterable[Tensor]) -> Tensor:
    """``J_im = sqrt(q_m) grad_xi Phi(xi_i, x_m)`` times C, shape (N, dim, M k); the atoms come in chunks."""
    J = torch.cat([features.jacobian(z, data.x) for z in chunks])
    J = J.mul_(data.quadrature.sqrt()[:, None])
    if C is not None and C.ndim == 1:
        J *= C[:, None]
    elif C is not None:  # it mixes the outputs at each x_m
        J = torch.einsum("bmkd,mkr->bmrd", J.unflatten(1, (data.M, data.k)), C).flatten(1, 2)
    return J.transpose(1, 2).contiguous()


def product(
    features: Outputs, data: Data, C: Tensor | None, mu: Particles
) -> Callable[[Tensor], Tensor]:
    """The map ``v -> J C int C^T J^T v dmu`` of fields (N, dim), for ``Phi = w_l h(theta, x)``."""
    mu.refuse_part("the second derivative of a risk with many outputs")
    k, q = features.k, data.weights[:, None]
    w, theta = mu.points[:, :k], mu.points[:, k:]
    h, slopes = features.h(theta, data.x), features.h.jacobian(theta, data.x)  # (N, M), (N, M, d)

    def along(v: Tensor) -> Tensor:
        rise = (slopes @ v[:, k:, None])[:, :, 0]
        both = (mu.weights[:, None] * u for u in (v[:, :k], w))
        change = sum((a.T @ b for a, b in zip(both, (h, rise), strict=True)), 0 * q.T)
        g = change.T if C is None else torch.einsum("mkr,mjr,jm->mk", C, C, change)
        g = q * g
        return torch.cat([h @ g, ((w @ g.T)[:, None, :] @ slopes)[:, 0]], dim=1)

    return along
