"""The data: a quadrature of the domain D, with the values of f on it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from jko import checks
from jko.shown import Shown, svg


@dataclass(frozen=True, eq=False)
class Data(Shown):
    """A quadrature of the domain D with the values of f: ``int_D g f dx ~ sum_m weights[m] g(x[m]) f[m]``.

    Parameters
    ----------
    x : (M, n)
        Inputs.
    f : (M,)
        Target values f(x).
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
        f = checks.shape("f", checks.owned("f", f, x, "x"), (len(x),))
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "f", f)
        object.__setattr__(self, "weights", checks.quadrature("weights", weights, len(x), x))

    def _facts(self) -> dict[str, Any]:
        return {"M": self.M, "n": self.n}

    def _picture(self) -> str:
        return svg.dots(self.x[:, 0].cpu(), self.f.cpu(), "f over x") if self.n == 1 else ""

    @property
    def M(self) -> int:
        """Number of data points."""
        return self.x.shape[0]

    @property
    def n(self) -> int:
        """Dimension of the inputs."""
        return self.x.shape[1]
