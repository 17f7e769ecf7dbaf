"""Sums ``sum_L k(x_K - x_L) m_L`` over all pairs of cells of a grid, by FFT.

Along an axis of n cells the kernel is needed at 2 n - 1 differences; the masses are padded with zeros, so that nothing
comes round.  Along a periodic axis differences are the shortest ones, in ``[-L/2, L/2]``, and masses do come round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Differences:
    """The differences between the centres of two cells: along each axis ``h k`` with ``|k| <= reach``.

    Attributes
    ----------
    shape, spacing
        Cells and their widths.
    periodic
        The axes that come round.

    Examples
    --------
    >>> Differences((3,), (0.5,), (False,)).points().flatten().tolist()
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    >>> Differences((3,), (0.5,), (True,)).points().flatten().tolist()
    [-0.5, 0.0, 0.5]
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    periodic: tuple[bool, ...]

    @property
    def reach(self) -> tuple[int, ...]:
        """The largest k along each axis."""
        pairs = zip(self.shape, self.periodic, strict=True)
        return tuple(n // 2 if round_ else n - 1 for n, round_ in pairs)

    @property
    def counts(self) -> tuple[int, ...]:
        """``2 reach + 1``."""
        return tuple(2 * k + 1 for k in self.reach)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the transforms."""
        pairs = zip(self.shape, self.periodic, strict=True)
        return tuple(n if round_ else next_fast_len(2 * n - 1, real=True) for n, round_ in pairs)

    @property
    def zero(self) -> int:
        """Where the difference 0 stands among the points."""
        return math.prod(self.counts) // 2

    def points(self) -> Tensor:
        """The differences, (prod counts, d), the last axis fastest; -z stands where z does, counted from the end."""
        pairs = zip(self.reach, self.spacing, strict=True)
        axes = [h * torch.arange(-k, k + 1, dtype=torch.float64) for k, h in pairs]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))

    def wound(self, values: Tensor) -> Tensor:
        """Values at the points as an array of shape ``lengths`` with the difference 0 in front.

        On a periodic axis with an even number of cells, -L/2 and L/2 are one difference: the mean of both.
        """
        out = values.reshape(self.counts)
        for a, (n, k, p) in enumerate(zip(self.shape, self.reach, self.lengths, strict=True)):
            if self.periodic[a] and n % 2 == 0:
                ends = 0.5 * (out.narrow(a, 0, 1) + out.narrow(a, 2 * k, 1))
                out = torch.cat([ends, out.narrow(a, 1, 2 * k - 1)], a)
            back = [0, 0] * (out.ndim - 1 - a) + [0, p - out.shape[a]]
            out = pad(out, back).roll(-k, a)
        return out


@dataclass(frozen=True, eq=False)
class Convolution:
    """A kernel, ready to be summed against masses on the cells.

    Attributes
    ----------
    over
        The differences it is known at.
    spectrum
        Its transform; along the last axis one half.

    Examples
    --------
    >>> over = Differences((3,), (0.5,), (False,))
    >>> line = Convolution.of(over, over.points()[:, 0] ** 2)
    >>> [round(v, 12) for v in line(torch.tensor([1.0, 0.0, 1.0]).double()).tolist()]
    [1.0, 0.5, 1.0]
    """

    over: Differences
    spectrum: Tensor

    @classmethod
    def of(cls, over: Differences, values: Tensor) -> Convolution:
        """Of a kernel's values at the points of ``over``."""
        return cls(over, torch.fft.rfftn(over.wound(values)))

    def like(self, masses: Tensor) -> bool:
        """Whether it is of the dtype and on the device of these masses."""
        spectrum = self.spectrum
        return spectrum.device == masses.device and spectrum.dtype.to_real() == masses.dtype

    def __call__(self, masses: Tensor) -> Tensor:
        """``sum_L k(x_K - x_L) m_L``, of the shape of the cells; zeros are not transformed."""
        lengths, shape = self.over.lengths, self.over.shape
        last = len(shape) - 1
        out = torch.fft.rfft(masses, lengths[last], last)
        for a in range(last):
            out = torch.fft.fft(out, lengths[a], a)
        out = out * self.spectrum
        for a in range(last):
            out = torch.fft.ifft(out, lengths[a], a).narrow(a, 0, shape[a])
        return torch.fft.irfft(out, lengths[last], last).narrow(last, 0, shape[last])


class Recalling:
    """A convolution that knows the last masses it was asked for, so that energy and variation cost one together."""

    def __init__(self, kernel: Convolution) -> None:
        self.kernel = kernel
        self.last: tuple[Tensor, Tensor] | None = None

    def __call__(self, masses: Tensor) -> Tensor:
        """``kernel(masses)``."""
        if masses.requires_grad or self.kernel.spectrum.requires_grad:
            return self.kernel(masses)
        if self.last is None or not torch.equal(self.last[0], masses):
            self.last = masses.clone(), self.kernel(masses)
        return self.last[1]
