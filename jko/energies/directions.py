"""The directions of the data in which features move: few, where many data look alike from every cell."""

from __future__ import annotations

import torch
from torch import Tensor

FEW = 256  # rows, of which all singular values are computed
BLOCK = 32  # random directions at a time
SEED = 0  # the same input gives the same bits


def main_directions(A: Tensor, rtol: float) -> Tensor:
    """W (r, k) with orthonormal columns and ``|A - W W^T A| <= sqrt(2) rtol |A|`` in the spectral norm, for A (r, N).

    The columns span the singular vectors of A with values above ``rtol`` times the largest.  Below 1e-8 they are
    rounding, since they come from squares.

    Of many rows they are sought in the range Q of A times random vectors (Halko, Martinsson and Tropp, SIAM Review 53
    (2011)), which grows until ``|A - Q Q^T A|_F``, which is computed and not estimated, is at most ``rtol |Q^T A|``;
    its square and that of what is left out of Q add up to the bound.

    Examples
    --------
    >>> import torch
    >>> from jko.energies.directions import main_directions
    >>> x, y = torch.linspace(0, 1, 300).double(), torch.linspace(0, 1, 500).double()
    >>> W = main_directions((-((x[:, None] - y) ** 2)).exp(), 1e-7)
    >>> W.shape[1] < 10
    True
    """
    found = _range(A, rtol) if len(A) > FEW and A.dtype == torch.float64 else None
    B = A if found is None else found.T @ A
    square, W = torch.linalg.eigh(B @ B.T)  # ascending
    W = W[:, square > rtol**2 * square[-1]]
    return W if found is None else found @ W


def _range(A: Tensor, rtol: float) -> Tensor | None:
    """Q, or None where it would be so large that nothing is gained."""
    random = torch.Generator().manual_seed(SEED)
    Q = A.new_zeros(len(A), 0)
    while 4 * (Q.shape[1] + BLOCK) <= len(A):
        Y = A @ torch.randn(A.shape[1], BLOCK, generator=random, dtype=A.dtype).to(A)
        for _ in range(2):  # once leaves the rounding of the large components
            Y = Y - Q @ (Q.T @ Y)
        Q = torch.linalg.qr(torch.cat([Q, Y], dim=1)).Q
        B = Q.T @ A
        largest = float(torch.linalg.eigvalsh(B @ B.T)[-1].clamp(min=0).sqrt())
        if _left(A, Q, B) <= rtol * largest:
            return Q
    return None


def _left(A: Tensor, Q: Tensor, B: Tensor) -> float:
    """``|A - Q B|_F``, a few columns at a time."""
    parts = zip(A.split(1024, dim=1), B.split(1024, dim=1), strict=True)
    return sum(float((a - Q @ b).square().sum()) for a, b in parts) ** 0.5
