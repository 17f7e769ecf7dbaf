"""Which faces a grid has, and what passes between cells and faces: said here, and nowhere else.

Across an axis with walls the faces lie between neighbours, one less than cells: those of the boundary carry nothing.
Across a periodic axis there is one more, between the last cell and the first; it is stored last.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FacesAcross:
    """The faces across one axis of a grid.

    Fields on cells have the shape of the grid as their last axes, whatever stands before; fields on faces have one less
    along ``axis``, or as many where it ``wraps``.  ``axis`` counts from the end: -1 is the last.  Nothing that is
    returned may be written into.

    Examples
    --------
    >>> import jko, torch
    >>> a = torch.tensor([1.0, 2.0, 5.0])
    >>> walls, circle = (jko.Grid((0.0, 3.0), 3, periodic=p).across[0] for p in (False, True))
    >>> walls.diff(a).tolist(), circle.diff(a).tolist()
    ([1.0, 3.0], [1.0, 3.0, -4.0])
    """

    axis: int
    wraps: bool
    width: float  # from centre to centre

    def before(self, cells: Tensor) -> Tensor:
        """The cells on the lower side."""
        return cells if self.wraps else cells.narrow(self.axis, 0, cells.shape[self.axis] - 1)

    def after(self, cells: Tensor) -> Tensor:
        """The cells on the upper side."""
        if self.wraps:
            return cells.roll(-1, self.axis)
        return cells.narrow(self.axis, 1, cells.shape[self.axis] - 1)

    def diff(self, cells: Tensor) -> Tensor:
        """Upper minus lower cell."""
        return self.after(cells) - self.before(cells)

    def mean(self, cells: Tensor) -> Tensor:
        """The mean of the two cells."""
        return 0.5 * (self.before(cells) + self.after(cells))

    def lower(self, faces: Tensor, wall: float = 0.0) -> Tensor:
        """The lower face of every cell; ``wall`` where there is none."""
        return faces.roll(1, self.axis) if self.wraps else self._walled(faces, wall, first=True)

    def upper(self, faces: Tensor, wall: float = 0.0) -> Tensor:
        """The upper face of every cell; ``wall`` where there is none."""
        return faces if self.wraps else self._walled(faces, wall, first=False)

    def outflow(self, flux: Tensor) -> Tensor:
        """What leaves each cell through its two faces."""
        return self.upper(flux) - self.lower(flux)

    def _walled(self, faces: Tensor, wall: float, first: bool) -> Tensor:
        shape = list(faces.shape)
        shape[self.axis] = 1
        end = faces.new_full(shape, wall)
        return torch.cat([end, faces] if first else [faces, end], dim=self.axis)
