"""Curvature pairs (s, y) with ``y = H s``, and the move that they propose: L-BFGS in compact form.

All pairs lie in one array, and their inner products in a small matrix: a new pair and a residual cost one product with
all of them, a direction another, and what is between is done on numbers.  Of y the energy's share g is kept,
``y = g + s / tau``: so tau may change and nothing is learned twice; the products with y follow from those with g, s.

Source: Byrd, Nocedal and Schnabel, Math. Program. 63 (1994) 129-156.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg.lapack import dtrtrs
from torch import Tensor

from jko.numerics.room import available
from jko.numerics.stack import Stack
from jko.steps.linesearch import Point
from jko.steps.memory import PAIRS, PRODUCTS, Memory
from jko.steps.problem import Form, StepProblem, in_range

Array = NDArray[np.float64]

ROOM = 2e9  # bytes that pairs may take, while they move in memory, on a machine of 8 to 64 GB
SHARE, MOST = (
    1 / 32,
    1 / 4,
)  # of the memory there is: what they may take on a larger machine, and on a smaller one
CURVED = 1e-10  # times |s| |y|: a move with less curvature is no pair
ALIKE = 1e-4  # times their norms: what products may differ by that are taken for those of a memory's pairs


class CurvaturePairs:
    """A model of the curvature: pairs (s, g) of a move and of what the energy's gradient changed by along it."""

    def __init__(self, problem: StepProblem, history: int, memory: Memory) -> None:
        self.problem, self.wanted = problem, history
        self.last: tuple[Point, Tensor] | None = None
        self.gram: Array = np.empty((0, 0))
        like = problem.base.points
        # the products are those of one measure
        key = (PAIRS, problem.base.weights, like.shape, like.dtype, like.device, history)
        self.stack: Stack = problem.kept(key, lambda: Stack(like, 2, _affordable(problem, history)))
        self.history = self.stack.most
        self._take_up(memory)

    def see(self, point: Point, r: Tensor) -> float:
        """The norm of the residual r at a point; the move from the last one is learned where it is curved."""
        moved = self.last is not None
        if moved:
            self._write(self.stack.open(), point, r)
        self.fields = self.stack.with_one(r, moved)
        self.table = _numbers(
            self.problem.products(self.fields[-3 if moved else -1 :], self.fields)
        )
        if moved:
            self._learn(r)
        self.last, square = (point, r), float(self.table[-1, -1])
        sure = self.problem.magnified == 1 and in_range(square)
        return square**0.5 if sure else self.problem.norm(r)

    def direction(self, point: Point, r: Tensor) -> Tensor:
        """-H^{-1} r, at the point seen last.

        Before anything is learned the inverse curvature is ``2 |E| / |r|^2``, the step after which the linear model
        has lost twice the energy (Polyak's length if the minimum is near zero), and at most tau.
        """
        shares = np.empty(0)
        if len(self.stack):
            shares = compact(self.gram, self.table[-1], self.problem.tau)
            if not np.isfinite(shares).all():
                self.forget()
        if not len(self.stack):
            return -self._first_scale() * r
        return (torch.from_numpy(shares).to(r)[None] @ self.fields.flatten(1)).view_as(r)

    def forget(self) -> bool:
        """Drop all pairs."""
        known = len(self.stack)
        self._drop(known)
        return known > 0

    @property
    def memory(self) -> Memory:
        """What the next step can use; products that were magnified are this step's alone."""
        if not len(self.stack):
            return {}
        products = {PRODUCTS: torch.from_numpy(self.gram)} if self.problem.magnified == 1 else {}
        return {PAIRS: self.stack.show(), **products}

    @property
    def figures(self) -> dict[str, float | str]:
        """How many pairs are kept, where these are fewer than were asked for."""
        return {"history": float(self.history)} if self.history < self.wanted else {}

    def _first_scale(self) -> float:
        """The length ``min(tau, 2 |E| / |r|^2)``."""
        square, by = float(self.table[-1, -1]), self.problem.magnified
        polyak = 2 * abs(float(self.problem.before.value)) * by * by / square if square > 0 else 0.0
        return min(self.problem.tau, polyak) if polyak > 0 else self.problem.tau

    def _write(self, pair: Tensor, point: Point, r: Tensor) -> None:
        """The pair of the last move, less the metric's share; with a domain, of the projected equation."""
        assert self.last is not None
        (old, before), (s, g), problem = self.last, pair, self.problem
        torch.sub(point.x, old.x, out=s)
        if problem.base.domain is None and problem.form is not Form.OWN_COST:
            torch.sub(point.energy.gradient, old.energy.gradient, out=g)
            g.copy_(problem.raised(g))
        else:
            torch.sub(r, before, out=g).sub_(s / problem.tau)

    def _learn(self, r: Tensor) -> None:
        """Keep the pair that was written, if the curvature along it is positive."""
        new, table = 2 * len(self.stack), self.table
        self.table = table[-1:]
        block = table[:2, new : new + 2]
        if not curved(block, self.problem.tau).all():
            self.table = np.delete(self.table, [new, new + 1], axis=1)
            self.fields = self.stack.with_one(r, False)
            return
        self.stack.append()
        known, self.gram = self.gram, np.empty((new + 2, new + 2))
        self.gram[:new, :new] = known
        self.gram[new:], self.gram[:, new:] = table[:2, : new + 2], table[:2, : new + 2].T
        self._drop(len(self.stack) - self.history)

    def _drop(self, count: int) -> None:
        """The oldest pairs fall away, with all that is known of them."""
        if count > 0:
            self.stack.drop(count)
            self.gram, self.table = self.gram[2 * count :, 2 * count :], self.table[:, 2 * count :]
            self.fields = self.fields[2 * count :]

    def _take_up(self, memory: Memory) -> None:
        """The last pairs of a memory, those that are curved at this tau."""
        pairs, stack = _pairs(memory, self.problem.base.points), self.stack
        stack.take(pairs)
        stack.drop(max(0, len(stack) - self.history))
        self.gram = self._products(memory.get(PRODUCTS), pairs is stack.shown)
        good = curved(self.gram, self.problem.tau)
        if not good.all():
            stack.take(stack.show()[torch.from_numpy(good)])
            both = np.repeat(good, 2)
            self.gram = self.gram[both][:, both]

    def _products(self, known: Tensor | None, own: bool) -> Array:
        """The inner products of all fields: those that came with them, unless they are of others."""
        fields = self.stack.tensors
        n = len(fields)
        if n and known is not None and known.ndim == 2 and self.problem.magnified == 1:
            gram = _numbers(known)[-n:, -n:]
            if gram.shape == (n, n) and (own or self._fit(gram, fields)):
                return gram
        return _numbers(self.problem.products(fields, fields))

    def _fit(self, gram: Array, fields: Tensor) -> bool:
        """Whether the last rows are those of the fields."""
        size = np.sqrt(np.abs(gram.diagonal()))
        rows = _numbers(self.problem.products(fields[-2:], fields))
        return bool((np.abs(gram[-2:] - rows) <= ALIKE * size[-2:, None] * size).all())


@np.errstate(all="ignore")  # whoever asks looks whether they are numbers
def compact(gram: Array, along: Array, tau: float) -> Array:
    """The shares of ``s_1, g_1, ..., s_n, g_n, r`` in ``-H^{-1} r``, of their inner products.

    ``H^{-1} = gamma + [S gamma Y] [[R^-T (D + gamma Y'Y) R^-1, -R^-T], [-R^-1, 0]] [S gamma Y]'``, with R the upper
    triangle and D the diagonal of S'Y, and ``gamma = s_n . y_n / y_n . y_n``.

    Parameters
    ----------
    gram
        Inner products of ``s_1, g_1, ..., s_n, g_n``, shape (2n, 2n).
    along
        Those of r with them, and with itself, shape (2n + 1,).
    """
    ss, sg, gg = gram[::2, ::2], gram[::2, 1::2], gram[1::2, 1::2]
    sy = sg + ss / tau
    yy = gg + (sg + sg.T) / tau + ss / tau**2
    sr = along[:-1:2]
    yr = along[1::2] + sr / tau
    gamma = sy[-1, -1] / yy[-1, -1]
    alpha = dtrtrs(sy, sr)[0]
    beta = dtrtrs(sy, sy.diagonal() * alpha - gamma * (yr - yy @ alpha), trans=1)[0]
    shares = np.empty_like(along)
    shares[:-1:2], shares[1::2], shares[-1] = gamma * alpha / tau - beta, gamma * alpha, -gamma
    return shares


@np.errstate(all="ignore")  # what is no number is not curved
def curved(gram: Array, tau: float) -> NDArray[np.bool_]:
    """Whether ``s . y > 0``, for each pair of which these are the inner products."""
    diagonal = gram.diagonal()
    ss, sg, gg = diagonal[::2], gram.diagonal(1)[::2], diagonal[1::2]
    sy, yy = sg + ss / tau, gg + 2 * sg / tau + ss / tau**2
    return sy > CURVED * np.sqrt(ss) * np.sqrt(np.maximum(yy, 0))


def _affordable(problem: StepProblem, history: int) -> int:
    """How many pairs are kept: the history, but where memory asks for fewer in one of the processes."""
    like = problem.base.points
    have = available(like.device)
    fit = Stack.fits(like, 2, min(max(ROOM, SHARE * have), MOST * have))
    pairs = like.new_tensor(float(min(max(fit, 1), history)))
    return -int(problem.base.largest(-pairs))


def _pairs(memory: Memory, like: Tensor) -> Tensor | None:
    """The pairs of a memory, (n, 2, N, dim); those of files of version 0.1 lie one by one."""
    known = memory.get(PAIRS)
    if known is None:
        names = [(f"move/{k}", f"slope/{k}") for k in range(len(memory))]
        found = [[memory[a], memory[b]] for a, b in names if a in memory and b in memory]
        if found and all(t.shape == like.shape for pair in found for t in pair):
            known = torch.stack([torch.stack(pair) for pair in found])
    return known if known is not None and known.shape[1:] == (2, *like.shape) else None


def _numbers(table: Tensor) -> Array:
    return table.detach().double().cpu().numpy()
