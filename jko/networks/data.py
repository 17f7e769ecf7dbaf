"""The data: a quadrature of the domain D, with the values of f on it."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures.frozen import Frozen
from jko.shown import svg


@dataclass(frozen=True, eq=False)
class Data(Frozen):
    """A quadrature of the domain D with the values of f: ``int_D g f dx ~ sum_m weights[m] g(x[m]) f[m]``.

    Parameters
    ----------
    x : (M, n)
        Inputs.
    f : (M,) or (M, k)
        Target values f(x), of k outputs.
    weights : (M,), optional
        Quadrature weights of D, positive; default 1/M, the mean over the data instead of the integral over D.

    Examples
    --------
    >>> import jko, torch
    >>> x = torch.linspace(-1, 1, 5, dtype=torch.float64)
    >>> jko.Data(x[:, None], x**2).M
    5
    """

    x: Tensor
    f: Tensor
    weights: Tensor

    def __init__(self, x: Any, f: Any, weights: Any = None) -> None:
        x = checks.shape("x", checks.owned("x", x), ("M", "n"))
        f = checks.owned("f", f, x, "x")
        checks.shape("f", f, (len(x), "k") if f.ndim == 2 else (len(x),))
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "f", f)
        object.__setattr__(self, "weights", checks.quadrature("weights", weights, len(x), x))

    def _facts(self) -> dict[str, Any]:
        return {"M": self.M, "n": self.n} | ({"k": self.k} if self.f.ndim == 2 else {})

    def _picture(self) -> str:
        one = self.n == 1 and self.f.ndim == 1
        return svg.dots(self.x[:, 0].cpu(), self.f.cpu(), "f over x") if one else ""

    @property
    def dtype(self) -> torch.dtype:
        """Of its tensors."""
        return self.x.dtype

    @property
    def device(self) -> torch.device:
        """Of its tensors."""
        return self.x.device

    @property
    def M(self) -> int:
        """Number of data points."""
        return self.x.shape[0]

    @property
    def n(self) -> int:
        """Dimension of the inputs."""
        return self.x.shape[1]

    @property
    def k(self) -> int:
        """Number of outputs, the columns of f; 1 for f (M,)."""
        return self.f.shape[1] if self.f.ndim == 2 else 1

    @property
    def values(self) -> Tensor:
        """f as numbers on D x {1..k}, shape (M k,): all outputs at x_1, then at x_2, ..."""
        return self.f.reshape(-1)

    @property
    def quadrature(self) -> Tensor:
        """The weights of D x {1..k}, those of D for each output; shape (M k,)."""
        return self.weights if self.f.ndim == 1 else self.weights.repeat_interleave(self.k)
