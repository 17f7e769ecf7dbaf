"""How chaos and training depend on the size of the initial weights: overparametrisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.chaos.result import ChaosStudy
from jko.diagnostics.chaos.study import Law, chaos_study, drawn
from jko.energies import Energy
from jko.measures import Particles
from jko.shown import Shown, svg
from jko.shown.cells import table

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScaleStudy(Shown):
    """A :class:`ChaosStudy` for each initial scale; prints as a table.

    Attributes
    ----------
    scales : (L,)
        What the atoms of the law were multiplied by.
    studies : tuple of ChaosStudy
        One for each.

    Examples
    --------
    >>> import jko
    >>> F = jko.Interaction(lambda z: 0.5 * z[:, 0] ** 2)
    >>> law = lambda N, generator: jko.Particles.normal(N, 1, generator=generator)
    >>> found = jko.diagnostics.scale_study(
    ...     F, law, scales=[0.5, 1.0], sizes=[5, 20], times=[0.0, 1.0],
    ...     repeats=8, observe=lambda mu: mu.mean(), exact=lambda t: [0.0],
    ... )  # fmt: skip
    >>> (found.studies[1].errors / found.studies[0].errors).round(6).tolist()
    [2.0, 2.0]
    """

    scales: Array
    studies: tuple[ChaosStudy, ...]

    def _columns(self) -> dict[str, list[str]]:
        largest = self.studies[0].sizes[-1]
        found = {
            "scale": [f"{s:.4g}" for s in self.scales],
            f"sup |f_N - f|, N = {largest}": [f"{study.errors[-1]:.4g}" for study in self.studies],
            "order": [
                f"{s.order.value:.3f} in [{s.order.low:.3f}, {s.order.high:.3f}]"
                for s in self.studies
            ],
            f"F at the end, N = {largest}": [
                f"{np.median(s.energies[:, -1]):.4g}" for s in self.studies
            ],
        }
        if self.studies[0].reached:
            for k in (0, -1):
                found[f"reached, N = {self.studies[0].sizes[k]}"] = [
                    f"{s.reached[k].value:.2f}" for s in self.studies
                ]
        return found

    def _facts(self) -> Mapping[str, object]:
        return {"scales": self.scales, "orders": [round(s.order.value, 3) for s in self.studies]}

    def _picture(self) -> str:
        columns = self._columns()
        rows = zip(*columns.values(), strict=True)
        errors = np.array([study.errors[-1] for study in self.studies])
        return table(columns, rows) + svg.curve(self.scales, errors, "error, logarithmic", log=True)

    def __str__(self) -> str:
        columns = self._columns()
        widths = {name: max(len(name), *map(len, cells)) for name, cells in columns.items()}
        lines = ["  ".join(name.rjust(widths[name]) for name in columns)]
        for row in zip(*columns.values(), strict=True):
            lines.append("  ".join(c.rjust(w) for c, w in zip(row, widths.values(), strict=True)))
        return "\n".join(lines)


def scale_study(energy: Energy, law: Law, *, scales: Sequence[float], **study: Any) -> ScaleStudy:
    """A :func:`chaos_study` for each initial scale: the law's atoms are multiplied by it.

    Large initial weights with many neurons are the lazy, overparametrised regime, in which training is almost linear;
    small ones begin near the saddle at 0, and features are learned.  With ``goal`` the table says how often N neurons
    reach it.

    Parameters
    ----------
    energy, law
        As in :func:`chaos_study`.
    scales : (L,)
        Positive.
    **study
        All that :func:`chaos_study` takes: sizes, times, repeats, goal, ...

    Returns
    -------
    ScaleStudy
        The same samples for all scales.

    Examples
    --------
    >>> import jko
    >>> F = jko.Interaction(lambda z: 0.5 * z[:, 0] ** 2)
    >>> law = lambda N, generator: jko.Particles.normal(N, 1, generator=generator)
    >>> found = jko.diagnostics.scale_study(
    ...     F, law, scales=[1.0], sizes=[5, 20], times=[0.0, 1.0],
    ...     repeats=8, observe=lambda mu: mu.mean(),
    ... )  # fmt: skip
    >>> len(found.studies)
    1
    """
    given = [
        checks.number(f"scales[{k}]", s, above=0)
        for k, s in enumerate(checks.items("scales", scales))
    ]
    if not given:
        raise ValueError("scales is empty; give one at least")

    def scaled(s: float) -> Law:
        def law_(N: int, generator: torch.Generator) -> Particles:
            mu = drawn(law, N, generator)
            return Particles.of(s * mu.points, mu.weights, mu.domain)

        return law_

    return ScaleStudy(
        np.array(given), tuple(chaos_study(energy, scaled(s), **study) for s in given)
    )
