"""Boxes cut into equal cells; no face of the boundary carries a flux, and a periodic axis has no boundary."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.shown import Shown
from jko.spaces.cached import cached
from jko.spaces.domains import Box
from jko.spaces.faces import FacesAcross
from jko.spaces.torus import Torus


@dataclass(frozen=True)
class Grid(Shown):
    """A box in R^d, d = 1, 2, 3, cut into equal cells.

    Parameters
    ----------
    bounds
        ``((lower, upper), ...)``, one pair for each axis, or one pair for all of them.
    shape
        Numbers of cells along the axes; a single number means d = 1.
    periodic
        Whether mass that leaves at the upper end of an axis comes in at its lower end: a bool, or one for each axis.
        Where not, there are walls.  All axes periodic make a circle or a torus.

    Attributes
    ----------
    spacing : tuple of d floats
        Widths of a cell.
    cell : float
        Its volume.
    centres : (N, d)
        Centres of the cells, the last axis fastest (C order).

    across : tuple of d :class:`jko.spaces.FacesAcross`
        The faces across each axis.

    Examples
    --------
    >>> import jko
    >>> grid = jko.Grid((0.0, 1.0), (4, 2))
    >>> grid.N, grid.spacing, grid.centres[1].tolist()
    (8, (0.25, 0.5), [0.125, 0.75])
    >>> jko.Grid((0.0, 1.0), (64, 32), periodic=(True, False))
    Grid(cells=64x32, on=[0, 1] x [0, 1], periodic=[True, False])
    """

    remedy = "build it by jko.Grid(bounds, shape)"

    bounds: tuple[tuple[float, float], ...]
    shape: tuple[int, ...]
    periodic: tuple[bool, ...]

    def __init__(
        self,
        bounds: Sequence[Any],
        shape: int | Sequence[int],
        periodic: bool | Sequence[bool] = False,
    ) -> None:
        cells = tuple(shape) if isinstance(shape, Sequence) else (shape,)
        if not 1 <= len(cells) <= 3:
            raise ValueError(f"shape has {len(cells)} axes; a grid has d = 1, 2 or 3")
        counts = checks.size(**{f"shape[{k}]": n for k, n in enumerate(cells)})
        pairs = checks.floats("bounds", bounds)
        if pairs.ndim == 1:
            pairs = pairs.expand(len(cells), -1)
        checks.shape("bounds", pairs, (len(cells), 2))
        box = Box(pairs[:, 0], pairs[:, 1])
        ends = zip(box.lower.tolist(), box.upper.tolist(), strict=True)
        object.__setattr__(self, "bounds", tuple(ends))
        object.__setattr__(self, "shape", counts)
        object.__setattr__(self, "periodic", checks.flags("periodic", periodic, len(cells)))
        self._check_cells()

    def _facts(self) -> dict[str, Any]:
        bounds = " x ".join(f"[{a:.6g}, {b:.6g}]" for a, b in self.bounds)
        facts = {"cells": "x".join(map(str, self.shape)), "on": bounds}
        return facts | {"periodic": self.periodic} if any(self.periodic) else facts

    def _check_cells(self) -> None:
        """Refuse cells that rounding cannot tell apart, and volumes out of range."""
        for (a, b), h, n in zip(self.bounds, self.spacing, self.shape, strict=True):
            if not h > 4 * math.ulp(max(abs(a), abs(b))):
                raise ValueError(
                    f"{n} cells on [{a:g}, {b:g}] have width {h:g}, which rounding cannot tell from 0 there; "
                    "use fewer cells, or shift the origin"
                )
        volume = math.prod(self.spacing)
        if not checks.SMALLEST <= volume <= checks.LARGEST:
            raise ValueError(
                f"the cells have volume {volume:g}; it must lie between {checks.SMALLEST:g} and {checks.LARGEST:g}: "
                "choose other units"
            )

    @property
    def dim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def N(self) -> int:
        """Number of cells."""
        return math.prod(self.shape)

    @cached
    def spacing(self) -> tuple[float, ...]:
        """Widths of a cell."""
        return tuple((b - a) / n for (a, b), n in zip(self.bounds, self.shape, strict=True))

    @cached
    def cell(self) -> float:
        """Volume of a cell."""
        return math.prod(self.spacing)

    @cached
    def box(self) -> Box:
        """The box."""
        lower, upper = zip(*self.bounds, strict=True)
        return Box(lower, upper)

    @cached
    def domain(self) -> Box | Torus:
        """Where the mass may be: the box, or the torus of the axes that are periodic."""
        box = self.box
        return Torus(box.lower, box.upper, self.periodic) if any(self.periodic) else box

    @cached
    def axes(self) -> tuple[Tensor, ...]:
        """Centres along each axis, tensors of lengths ``shape``."""
        return tuple(
            a + h * (torch.arange(n, dtype=torch.float64, device="cpu") + 0.5)
            for (a, _), h, n in zip(self.bounds, self.spacing, self.shape, strict=True)
        )

    @cached
    def faces(self) -> tuple[Tensor, ...]:
        """Ends of the cells along each axis, tensors of lengths n + 1."""
        return tuple(
            torch.linspace(a, b, n + 1, dtype=torch.float64, device="cpu")
            for (a, b), n in zip(self.bounds, self.shape, strict=True)
        )

    @cached
    def across(self) -> tuple[FacesAcross, ...]:
        """The faces across each axis."""
        rows = enumerate(zip(self.periodic, self.spacing, strict=True))
        return tuple(FacesAcross(k - self.dim, wraps, h) for k, (wraps, h) in rows)

    @cached
    def centres(self) -> Tensor:
        """Centres of the cells, (N, d)."""
        return torch.stack(torch.meshgrid(*self.axes, indexing="ij"), dim=-1).reshape(-1, self.dim)
