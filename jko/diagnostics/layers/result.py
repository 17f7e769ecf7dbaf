"""What a study of networks with two hidden layers found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from jko.diagnostics.chaos.orders import SURE, Order
from jko.shown import Shown, svg
from jko.shown.cells import table

Array = NDArray[np.float64]
Sizes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerStudy(Shown):
    """Errors of networks of N1 and N2 random neurons along the flow, against that of the means; prints as a table.

    Attributes
    ----------
    N1, N2 : (K,)
        The sizes; 0 stands for infinitely many, a rule of Gauss.
    errors : (K, R)
        Of R independent networks of each size: ``sup_t |f_{N1, N2}(t) - f(t)|`` in L2 of the data.
    at : (K, T)
        Root mean squares over the networks at each of the times.
    times : (T,)
        Where they were compared.
    doubt : float
        The error of the reference: how far it is from that with two thirds of the nodes.
    size : float
        ``sup_t |f(t)|`` of the reference, what errors are to be compared with.
    order : Order
        p of ``C N^-p`` in N2, or in N1 where N2 stays, by least squares through the logarithms of :attr:`means`; with
        where p lies at 95 %, by the scatter of the networks of a size and Student's law.

    Examples
    --------
    >>> import jko
    >>> F = jko.energies.TwoLayerRisk(jko.Data([[0.5], [1.0]], [1.0, 1.0]))
    >>> law = jko.measures.LayerKernels(
    ...     lambda u: u, lambda u, v: (u - v)[..., 0], lambda v: v[:, 0]
    ... )
    >>> study = jko.diagnostics.layer_study(F, law, t1=0.5, N2=(4, 64), repeats=8, nodes=6)
    >>> study.varies, study.means.shape, study.order.excludes(0, 1)
    ('N2', (2,), True)
    """

    N1: Sizes = field(repr=False)
    N2: Sizes = field(repr=False)
    errors: Array = field(repr=False)
    at: Array = field(repr=False)
    times: Array = field(repr=False)
    doubt: float
    size: float
    order: Order

    @property
    def means(self) -> Array:
        """Root mean squares of the errors over the networks of a size, (K,)."""
        return np.sqrt(np.square(self.errors).mean(1))

    @property
    def varies(self) -> str:
        """The size that the order is one of: N2, or N1 where N2 stays."""
        return "N2" if len(set(self.N2.tolist())) > 1 else "N1"

    @property
    def remarks(self) -> list[str]:
        """What to know before the order is believed."""
        said = []
        if self.doubt > 0.1 * self.means.min():
            said.append(
                f"the reference is known to {self.doubt:.1e} only: raise nodes, or take smooth kernels"
            )
        fixed = self.N1 if self.varies == "N2" else self.N2
        if len(set(fixed.tolist())) == 1 and fixed[0] > 0:
            other = "N1" if self.varies == "N2" else "N2"
            said.append(
                f"{other} = {fixed[0]} at all sizes leaves an error that does not fall with {self.varies}"
            )
        return said

    def _facts(self) -> dict[str, object]:
        order, low, high = self.order
        runs = {"error": f"{self.means[0]:.3g} -> {self.means[-1]:.3g}"}
        fit = {"order": round(order, 3), "at 95 %": f"{low:.3f} .. {high:.3f}"}
        return fit | runs | {"of": self.size, "doubt": self.doubt}

    def _rows(self) -> list[tuple[str, ...]]:
        def count(N: int) -> str:
            return str(N) if N else "inf"

        return [
            (count(a), count(b), f"{mean:.3e}", f"{row.min():.3e}", f"{row.max():.3e}")
            for a, b, mean, row in zip(self.N1, self.N2, self.means, self.errors, strict=True)
        ]

    def _said(self) -> str:
        order, low, high = self.order
        return f"order in {self.varies}: {order:.3f}, 95 % between {low:.3f} and {high:.3f}"

    def __str__(self) -> str:
        head = ("N1", "N2", "error", "least", "largest")
        rows = ["".join(f"{entry:>11}" for entry in row) for row in (head, *self._rows())]
        return "\n".join([*rows, self._said(), *self.remarks])

    def _picture(self) -> str:
        N = self.N2 if self.varies == "N2" else self.N1
        curve = svg.curve(N, self.means, "error, logarithmic", log=True)
        return table(["N1", "N2", "error", "least", "largest"], self._rows()) + curve


def order_of(N: Sizes, errors: Array) -> Order:
    """The slope through the logarithms of root mean squares, and its interval.

    The mean of R squares e^2 scatters by ``c / R`` of its square, with one c for all sizes.
    """
    R, squares = errors.shape[1], np.square(errors)
    means = squares.mean(1)
    c = float((squares.var(1, ddof=1) / means**2).mean())
    x, y = np.log(N), 0.5 * np.log(means)
    away = x - x.mean()
    width = 0.5 * np.sqrt(c / R / (away @ away))
    reach = float(student.ppf(0.5 + 0.5 * SURE, len(N) * (R - 1)) * width)
    order = -float(away @ y / (away @ away))
    return Order(order, order - reach, order + reach)
