"""What a study of propagation of chaos has found: errors of N atoms, exponents in N with intervals, growth in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jko.diagnostics.chaos.orders import Order, fitted, share
from jko.shown import Shown, svg
from jko.shown.cells import table

Array = NDArray[np.float64]

FEW = 3  # times in the later half; with fewer all are taken
NEAR = 0.1  # of the largest number of atoms to the reference's: more of it shows in the order


@dataclass(frozen=True, eq=False)
class ChaosStudy(Shown):
    """N atoms against the limit of infinitely many, over repeats with coupled samples; prints as a table.

    Attributes
    ----------
    sizes : (S,)
        Numbers of atoms N.
    times : (K,)
        When they were compared.
    outputs : (R, S, K)
        ``|f_N(t) - f(t)|`` in L2(D), or of what was observed, by repeat, size and time.
    paths : (R, S, K)
        ``(1/N sum_i |X_i^N(t) - X_i(t)|^2)^{1/2}``: atoms against those that begin at the same points and move in the
        limit's field.  It bounds W2 to the samples of the limit.
    distances : (R, S, J) or None
        W2 to the reference at ``distance_times`` (J,).
    energies : (R, S)
        F of the atoms at the end.
    reference : int
        Atoms of the reference; ``exact`` where the limit of the outputs was given instead.
    goal : float
        The energy that counts as reached; nan without one.

    Examples
    --------
    >>> import numpy as np
    >>> from jko.diagnostics import ChaosStudy
    >>> rng, N = np.random.default_rng(0), np.array([16, 32, 64, 128])
    >>> errors = np.abs(rng.normal(size=(40, 4, 3))) / N[:, None] ** 0.5
    >>> study = ChaosStudy(N, np.arange(3.0), errors, errors, None, errors[:, :, 0])
    >>> study.order.excludes(0, 1), 0.5 in study.order.interval
    (True, True)
    """

    sizes: NDArray[np.int64]
    times: Array
    outputs: Array = field(repr=False)
    paths: Array = field(repr=False)
    distances: Array | None = field(repr=False)
    energies: Array = field(repr=False)
    distance_times: Array = field(default_factory=lambda: np.empty(0), repr=False)
    reference: int = 0
    exact: bool = False
    goal: float = np.nan

    @property
    def repeats(self) -> int:
        """R."""
        return len(self.outputs)

    @property
    def errors(self) -> Array:
        """Root mean square over repeats of ``sup_t |f_N - f|``, (S,)."""
        return _rms(self.outputs.max(axis=2))

    @cached_property
    def order(self) -> Order:
        """p of ``sup_t |f_N - f| ~ N^{-p}``."""
        return self._in_sizes(self.outputs.max(axis=2))

    @cached_property
    def path_order(self) -> Order:
        """p of the largest over time of the distance of paths."""
        return self._in_sizes(self.paths.max(axis=2))

    @cached_property
    def distance_order(self) -> Order | None:
        """p of the largest over time of W2 to the reference, where that was computed."""
        return None if self.distances is None else self._in_sizes(self.distances.max(axis=2))

    @cached_property
    def orders(self) -> list[Order]:
        """p of ``|f_N(t) - f(t)| ~ N^{-p}`` at each time, (K,)."""
        return [self._in_sizes(self.outputs[:, :, k]) for k in range(len(self.times))]

    @property
    def by_time(self) -> Array:
        """Root mean square over repeats of ``|f_N(t) - f(t)|``, (S, K)."""
        return _rms(self.outputs)

    @cached_property
    def growth(self) -> Order:
        """r of ``|f_N(t) - f(t)| ~ e^{r t}`` over the later half of the times, with the errors of all N together."""
        late = self.times >= 0.5 * self.times[-1]
        late |= late.sum() < FEW
        scaled = self.outputs[:, :, late] / np.maximum(self.errors, np.finfo(float).tiny)[:, None]
        return fitted(self.times[late], (scaled**2).mean(axis=1))

    @property
    def uniform(self) -> bool:
        """Whether the error is not seen to grow at the end: ``growth`` is not positive with 95 %."""
        return self.growth.low <= 0

    @property
    def reached(self) -> list[Order]:
        """The probability that N atoms end at most at the goal, with its interval, for each N; none without a goal."""
        if np.isnan(self.goal):
            return []
        return [
            share(int((self.energies[:, s] <= self.goal).sum()), self.repeats)
            for s in range(len(self.sizes))
        ]

    def _in_sizes(self, errors: Array) -> Order:
        """Of errors (R, S), which fall."""
        slope = fitted(np.log(self.sizes.astype(float)), errors**2)
        return Order(-slope.value, -slope.high, -slope.low)

    @property
    def remarks(self) -> list[str]:
        """What to know before the exponents are believed."""
        said = []
        share_ = self.sizes[-1] / self.reference if self.reference else 0.0
        if share_ > NEAR and not self.exact:
            said.append(
                f"the reference has only {self.reference} atoms; take ten times {self.sizes[-1]}, or the exact limit"
            )
        if not self.uniform:
            said.append(
                f"at the end errors still grow like e^({self.growth.value:.3g} t): T is too short for a supremum"
            )
        return said

    def _columns(self) -> dict[str, list[str]]:
        found = {
            "N": [str(N) for N in self.sizes],
            "sup |f_N - f|": [f"{e:.4g}" for e in self.errors],
            "paths": [f"{e:.4g}" for e in _rms(self.paths.max(axis=2))],
        }
        if self.distances is not None:
            found["W2"] = [f"{e:.4g}" for e in _rms(self.distances.max(axis=2))]
        if self.reached:
            found["reached"] = [
                f"{p.value:.2f} in [{p.low:.2f}, {p.high:.2f}]" for p in self.reached
            ]
        return found

    def _said_orders(self) -> dict[str, str]:
        orders = {
            "order": self.order,
            "order of paths": self.path_order,
            "order of W2": self.distance_order,
        }
        found = {
            name: f"{p.value:.3f} in [{p.low:.3f}, {p.high:.3f}]"
            for name, p in orders.items()
            if p is not None
        }
        r = self.growth
        return found | {"growth": f"e^(r t), r = {r.value:.3g} in [{r.low:.3g}, {r.high:.3g}]"}

    def _facts(self) -> Mapping[str, object]:
        limit = "exact" if self.exact else f"{self.reference} atoms"
        facts = {"repeats": self.repeats, "sizes": self.sizes, "limit": limit}
        return (
            self._said_orders()
            | facts
            | ({"remark": "; ".join(self.remarks)} if self.remarks else {})
        )

    def _picture(self) -> str:
        columns = self._columns()
        rows = zip(*columns.values(), strict=True)
        return table(columns, rows) + svg.curve(
            self.sizes, self.errors, "error, logarithmic", log=True
        )

    def __str__(self) -> str:
        columns = self._columns()
        widths = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}
        lines = ["  ".join(name.rjust(widths[name]) for name in columns)]
        for row in zip(*columns.values(), strict=True):
            lines.append("  ".join(c.rjust(w) for c, w in zip(row, widths.values(), strict=True)))
        said = [f"{name} {text}" for name, text in self._said_orders().items()]
        return "\n".join([*lines, f"{self.repeats} repeats; " + "; ".join(said), *self.remarks])


def _rms(errors: Array) -> Array:
    """Over the repeats, which stand first."""
    found: Array = (errors**2).mean(axis=0) ** 0.5
    return found
