"""A feature map at fixed inputs, for the passes of an evaluation over many parameters, a block at a time.

Sums over parameters stay with the measure: a block only knows its own.  Torch records nothing here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko.networks.sigmas import Sigma
from jko.numerics.scratch import scratch

Pullback = Callable[[Tensor], tuple[Tensor, Tensor]]


class Block(ABC):
    """Features ``value(z[i], x[m])`` of a block of parameters z (b, p).

    Examples
    --------
    >>> import jko, torch
    >>> x, theta = torch.ones(3, 1).double(), torch.zeros(2, 2).double()
    >>> with jko.Ridge(torch.tanh).passes(x, 2) as passes:
    ...     len(passes.at(theta))
    2
    """

    @abstractmethod
    def __len__(self) -> int:
        """b."""

    @abstractmethod
    def integral(self, weights: Tensor) -> Tensor:
        """``sum_i weights[i] value(z[i], x)``, shape (M,); for weights (b, k), (M, k)."""

    @abstractmethod
    def pairing(self, g: Tensor) -> Tensor:
        """``c = sum_m g[m] value(z, x[m])``, shape (b,); for g (M, k), (b, k)."""

    @abstractmethod
    def pull_back(self, g: Tensor, c: Tensor, slope: Tensor) -> None:
        """Write c to ``c`` (b,) and its gradient in z to ``slope`` (b, p); the last that a block is asked."""

    def pull_back_sum(self, w: Tensor, g: Tensor, c: Tensor, slope: Tensor) -> None:
        """Write c to ``c`` (b, k), for g (M, k), and the gradient of ``sum_l w_l c_l`` in z to ``slope`` (b, p).

        One product for all k: the features are weighted by ``w g^T`` (b, M).  The last that a block is asked.
        """
        raise NotImplementedError(f"{type(self).__name__} is a block of one output")


class Passes(AbstractContextManager["Passes"]):
    """A feature map at inputs x (M, n), for use in a ``with``.

    Examples
    --------
    >>> import jko, torch
    >>> x, theta = torch.ones(3, 1).double(), torch.zeros(2, 2).double()
    >>> with jko.Ridge(torch.tanh).passes(x, 2) as passes:
    ...     len(passes.at(theta))
    2
    """

    def __init__(self) -> None:
        self.lent = ExitStack()

    @abstractmethod
    def at(self, z: Tensor) -> Block:
        """The features of parameters z (b, p); the block before is no more, unless blocks are kept."""

    def __exit__(self, *error: Any) -> None:
        """What was lent goes back."""
        self.lent.close()


class PlainPasses(Passes):
    """Any feature map, by its values and its ``linearise``."""

    def __init__(
        self,
        values: Callable[[Tensor], Tensor],
        linearise: Callable[[Tensor], tuple[Tensor, Pullback]],
        keep: bool,
    ) -> None:
        super().__init__()
        self.values, self.linearise, self.keep = values, linearise, keep

    def at(self, z: Tensor) -> Block:
        """A block that computes what it is asked for."""
        return _PlainBlock(self, z)


class _PlainBlock(Block):
    def __init__(self, passes: PlainPasses, z: Tensor) -> None:
        self.passes, self.z = passes, z

    def __len__(self) -> int:
        return len(self.z)

    @cached_property
    def linear(self) -> tuple[Tensor, Pullback]:
        return self.passes.linearise(self.z)

    @property
    def values(self) -> Tensor:
        return self.linear[0] if self.passes.keep else self.passes.values(self.z)

    def integral(self, weights: Tensor) -> Tensor:
        return weights @ self.values if weights.ndim == 1 else self.values.T @ weights

    def pairing(self, g: Tensor) -> Tensor:
        return self.values @ g

    def pull_back(self, g: Tensor, c: Tensor, slope: Tensor) -> None:
        for target, result in zip((c, slope), self.linear[1](g), strict=True):
            target.copy_(result)

    def pull_back_sum(self, w: Tensor, g: Tensor, c: Tensor, slope: Tensor) -> None:
        values, pull = self.linear
        torch.mm(values, g, out=c)
        slope.copy_(pull(w @ g.T)[1])


class SigmaPasses(Passes):
    """``sigma(z . a(x))`` in kept memory: a product, then the activation in place; back, its slope and a product.

    The numbers of sigma go into small matrices and sums: ``tanh = 2 u - 1`` is never formed, only sums of it.

    Parameters
    ----------
    a : (p, M)
        The inputs as directions.
    rows
        Parameters in a block, at most.
    keep
        Whether blocks are all there until the end, each in memory of its own.
    """

    def __init__(self, sigma: Sigma, a: Tensor, rows: int, keep: bool) -> None:
        super().__init__()
        self.sigma, self.keep, self.shape = sigma, keep, (rows, a.shape[1])
        self.a = a * sigma.inner
        self.back: tuple[Tensor, Tensor, Tensor, Tensor] | None = None

    def at(self, z: Tensor) -> Block:
        """A block of values, where the slope is a function of these, else of arguments."""
        s = self.arguments(z, self.room(len(z)))
        return _SigmaBlock(self, z, self.sigma.value(s, s) if self.sigma.of_value else s)

    def arguments(self, z: Tensor, out: Tensor) -> Tensor:
        """``inner z . a(x)``, written to ``out`` (b, M); a copy of z stands where it is fast to read."""
        return torch.mm(z.contiguous(), self.a, out=out)

    def chain(self, z: Tensor, slopes: Tensor, c: Tensor, back: Tensor, out: Tensor) -> None:
        """Write the gradient of c in z to ``out``, given the slopes (b, M) and ``back = outer inner g a`` (M, p)."""
        torch.mm(slopes, back, out=out)

    def backwards(self, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``outer g``, ``shift sum g``, ``outer inner g a`` (M, p): small, and the same for all blocks.

        For g (M, k), of which the slopes are weighted before, the last is ``inner a``.
        """
        if self.back is None or self.back[0] is not g:
            v = g * self.sigma.outer
            a = self.a * v if g.ndim == 1 else self.a
            self.back = g, v, self.sigma.shift * g.sum(0), a.T.contiguous()
        return self.back[1:]

    def room(self, rows: int) -> Tensor:
        """Memory for a block: the same again, unless blocks are kept."""
        lent = (
            self.lent.enter_context(scratch(self.a, rows, self.shape[1])) if self.keep else self.own
        )
        return lent[:rows]

    @cached_property
    def own(self) -> Tensor:
        """Memory for one block."""
        return self.lent.enter_context(scratch(self.a, *self.shape))

    @cached_property
    def spare(self) -> Tensor:
        """Memory for what is made of one block."""
        return self.lent.enter_context(scratch(self.a, *self.shape))


class _SigmaBlock(Block):
    def __init__(self, passes: SigmaPasses, z: Tensor, known: Tensor) -> None:
        self.passes, self.z, self.known = passes, z, known

    def __len__(self) -> int:
        return len(self.z)

    @property
    def values(self) -> Tensor:
        """u(s)."""
        sigma = self.passes.sigma
        return self.known if sigma.of_value else sigma.value(self.known, self._spare)

    @property
    def _spare(self) -> Tensor:
        return self.passes.spare[: len(self.z)]

    def integral(self, weights: Tensor) -> Tensor:
        sigma = self.passes.sigma
        total = (self.values.T @ weights).mul_(sigma.outer)
        return total.add_(weights.sum(0), alpha=sigma.shift) if sigma.shift else total

    def pairing(self, g: Tensor) -> Tensor:
        v, constant, _ = self.passes.backwards(g)
        return (self.values @ v).add_(constant)

    def pull_back(self, g: Tensor, c: Tensor, slope: Tensor) -> None:
        passes = self.passes
        v, constant, back = passes.backwards(g)
        torch.mv(self.values, v, out=c)
        if passes.sigma.shift:
            c.add_(constant)
        out = self.known if passes.sigma.of_value else self._spare
        passes.chain(self.z, passes.sigma.slope(self.known, out), c, back, slope)

    def pull_back_sum(self, w: Tensor, g: Tensor, c: Tensor, slope: Tensor) -> None:
        passes = self.passes
        v, constant, back = passes.backwards(g)
        torch.mm(self.values, v, out=c)
        if passes.sigma.shift:
            c.add_(constant)
        own = self.known, self._spare
        out, free = own if passes.sigma.of_value else own[::-1]
        slopes = passes.sigma.slope(self.known, out).mul_(torch.mm(w, v.T, out=free))
        passes.chain(self.z, slopes, (w * c).sum(1), back, slope)


class NeuronPasses(Passes):
    """``w h(theta, x)`` of z = (w, theta), by the passes of h."""

    def __init__(self, inner: Passes) -> None:
        self.inner, self.lent = inner, inner.lent

    def at(self, z: Tensor) -> Block:
        """That of theta, and w."""
        return _NeuronBlock(self.inner.at(z.narrow(1, 1, z.shape[1] - 1)), z.select(1, 0))


class _NeuronBlock(Block):
    def __init__(self, h: Block, w: Tensor) -> None:
        self.h, self.w = h, w

    def __len__(self) -> int:
        return len(self.w)

    def integral(self, weights: Tensor) -> Tensor:
        return self.h.integral(weights * self.w)

    def pairing(self, g: Tensor) -> Tensor:
        return self.w * self.h.pairing(g)

    def pull_back(self, g: Tensor, c: Tensor, slope: Tensor) -> None:
        first, rest = slope.select(1, 0), slope.narrow(1, 1, slope.shape[1] - 1)
        self.h.pull_back(g, first, rest)
        torch.mul(self.w, first, out=c)
        rest.mul_(self.w.unsqueeze(1))
