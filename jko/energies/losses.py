"""Convex losses of the outputs y of a network at the targets f, one number for each data point.

For ``R(mu) = sum_m q_m l(f_mu(x_m), f_m)`` all that is asked of l are its value, its slope in y, a factor of its second
derivatives, and its conjugate ``l*(g) = sup over y of <g, y> - l(y)``: since l is convex, so is R in mu, and

``R(nu) >= sum_m q_m (<g_m, f_nu(x_m)> - l*(g_m))    for every nu and every g``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import hessian, leaf, recording, slope
from jko.shown import Shown

SIMPLEX = {torch.float64: 1e-9, torch.float32: 1e-5}  # how far a sum of shares may be from one


class Loss(Shown, ABC):
    """A convex function l of outputs y at targets f: (M,), or (M, k) with a row for each data point.

    A loss of one's own needs its value, in torch.  With ``conjugate`` and ``answer`` there are lower bounds too.

    Examples
    --------
    >>> import jko, torch
    >>> class Robust(jko.energies.Loss):
    ...     def value(self, y, f):
    ...         return (1 + (y - f).square()).sqrt() - 1
    >>> data = jko.Data([[0.0], [1.0]], [0.0, 3.0])
    >>> R = jko.Risk(data, activation=jko.Ridge(torch.tanh), loss=Robust())
    >>> jko.step(R, jko.Particles([[1.0, 1.0, 0.0]]), tau=1.0).status.ok
    True
    """

    def check(self, f: Tensor) -> None:
        """ValueError for targets that the loss does not take."""

    @abstractmethod
    def value(self, y: Tensor, f: Tensor) -> Tensor:
        """l(y) at each data point, shape (M,); in torch."""

    def slope(self, y: Tensor, f: Tensor) -> Tensor:
        """The gradient of l in y, of the shape of y."""
        recorded = torch.is_grad_enabled() and (y.requires_grad or f.requires_grad)
        with recording():
            y = y if recorded and y.requires_grad else leaf(y)
            return slope(self._checked(y, f).sum(), y, create=recorded)

    def factor(self, y: Tensor, f: Tensor) -> Tensor | None:
        """C with ``C C^T`` the second derivatives of l: (M,), or (M, k, r) for y (M, k); None: they are one."""
        rows = y.reshape(len(y), -1)

        def gradient(rows: Tensor) -> Tensor:
            return self.slope(rows.view(y.shape), f).view(rows.shape)

        H = hessian(lambda rows: self.value(rows.view(y.shape), f), gradient, rows)
        if y.ndim == 1:
            return H[:, 0, 0].clamp(min=0).sqrt()
        values, vectors = torch.linalg.eigh(H)
        return vectors * values.clamp(min=0).sqrt()[:, None, :]

    def conjugate(self, g: Tensor, f: Tensor) -> Tensor:
        """``l*(g) = sup over y of <g, y> - l(y)`` at each data point, shape (M,); +inf where it is."""
        raise NotImplementedError(f"{type(self).__name__} has no conjugate; write conjugate(g, f)")

    def answer(self, g: Tensor, f: Tensor) -> Tensor:
        """An output y with the slope g, where l* is finite; of the shape of g."""
        raise NotImplementedError(f"{type(self).__name__} has no answer; write answer(g, f)")

    @property
    def has_conjugate(self) -> bool:
        """Whether both are there."""
        own, none = type(self), Loss
        return own.conjugate is not none.conjugate and own.answer is not none.answer

    def _checked(self, y: Tensor, f: Tensor) -> Tensor:
        name = f"the value of the loss {type(self).__name__}"
        return checks.returned(name, self.value(y, f), (len(y),), y)

    def room(self, g: Tensor, step: Tensor, f: Tensor) -> Tensor:
        """The largest t with ``l*(g + t step)`` finite, for g where it is; shape (M,). Here it is finite everywhere."""
        return torch.full_like(g if g.ndim == 1 else g[:, 0], torch.inf)

    def total(self, y: Tensor, f: Tensor, q: Tensor) -> Tensor:
        """``sum_m q_m l(y_m)``, a 0-d tensor."""
        return (q * self._checked(y, f)).sum()

    def evaluate(self, y: Tensor, f: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """The total and its gradient in y, the prices ``q_m grad l(y_m)``."""
        return self.total(y, f, q), _rows(q, y) * self.slope(y, f)

    def divergence(self, y: Tensor, star: Tensor, f: Tensor, q: Tensor) -> Tensor:
        """Bregman's: ``sum_m q_m [l(y) - l(y_*) - <grad l(y_*), y - y_*>]``, a 0-d tensor, >= 0."""
        value, g = self.evaluate(star, f, q)
        return self.total(y, f, q) - value - (g * (y - star)).sum()


@dataclass(frozen=True)
class SquaredLoss(Loss):
    """``l(y) = |y - f|^2 / 2``. Source: survey (2.6).

    Examples
    --------
    >>> import torch
    >>> from jko.energies import SquaredLoss
    >>> SquaredLoss().value(torch.tensor([3.0]), torch.tensor([1.0])).tolist()
    [2.0]
    """

    def value(self, y: Tensor, f: Tensor) -> Tensor:
        """``|y - f|^2 / 2``."""
        r = y - f
        return 0.5 * (r * r if r.ndim == 1 else (r * r).sum(1))

    def slope(self, y: Tensor, f: Tensor) -> Tensor:
        """The residual ``y - f``."""
        return y - f

    def factor(self, y: Tensor, f: Tensor) -> None:
        """One."""
        return

    def conjugate(self, g: Tensor, f: Tensor) -> Tensor:
        """``|g|^2 / 2 + <g, f>``."""
        along = g * (0.5 * g + f)
        return along if along.ndim == 1 else along.sum(1)

    def answer(self, g: Tensor, f: Tensor) -> Tensor:
        """``f + g``."""
        return f + g

    def total(self, y: Tensor, f: Tensor, q: Tensor) -> Tensor:
        """``1/2 sum_m q_m |y_m - f_m|^2``."""
        r = y - f
        return 0.5 * (_rows(q, r) * r * r).sum()

    def evaluate(self, y: Tensor, f: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """``<g, r> / 2`` and g = q r."""
        r = y - f
        g = _rows(q, r) * r
        return 0.5 * (g.reshape(-1) @ r.reshape(-1)), g

    def divergence(self, y: Tensor, star: Tensor, f: Tensor, q: Tensor) -> Tensor:
        """``|y - y_*|_q^2 / 2``."""
        return self.total(y, star, q)


@dataclass(frozen=True)
class Logistic(Loss):
    """The logistic loss, for classes: minus the log-likelihood of the targets under :meth:`probabilities`.

    - Two classes, targets f (M,) in {-1, 1}: ``l(y) = log(1 + exp(-f y))``.
    - k classes, targets f (M, k) whose rows are shares of the classes, one-hot where the class is known:
      ``l(y) = log sum_j exp(y_j) - <f, y>``.

    Convex in y, so that a :class:`jko.Risk` with it is convex in the measure; its second derivatives are at most 1/4
    and 1/2.  It has no minimum where the data can be separated: add ``lam * jko.SquaredNorm()``.

    Examples
    --------
    >>> import jko, torch
    >>> data = jko.Data([[-1.0], [1.0]], [-1.0, 1.0])
    >>> R = jko.Risk(data, activation=jko.Ridge(torch.tanh), loss=jko.Logistic())
    >>> nothing = jko.Particles([[0.0, 0.0, 0.0]])
    >>> round(float(R(nothing)), 4)  # log 2
    0.6931
    >>> jko.Logistic().probabilities(R.predict(nothing)).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    def check(self, f: Tensor) -> None:
        """Targets are -1 and 1, or rows of shares."""
        if f.ndim == 1:
            if bool((f.abs() != 1).any()):
                wrong = float(f[f.abs() != 1][0])
                raise ValueError(
                    f"f has the entry {wrong:g}; for jko.Logistic() the targets f (M,) are -1 and 1: of 0 and 1 pass "
                    "2 f - 1, of k classes pass one-hot rows (M, k), torch.nn.functional.one_hot(classes)"
                )
            return
        total = f.sum(1)
        off = (total - 1).abs() > SIMPLEX[f.dtype]
        if bool((f < 0).any()) or bool(off.any()):
            m = int(((f < 0).any(1) | off).nonzero()[0])
            raise ValueError(
                f"f[{m}] = {[round(float(share), 6) for share in f[m]]}; for jko.Logistic() the rows of f (M, k) are "
                "shares of the classes, not negative and with sum one: one-hot rows are "
                "torch.nn.functional.one_hot(classes)"
            )

    def value(self, y: Tensor, f: Tensor) -> Tensor:
        """``log(1 + exp(-f y))``, or ``log sum_j exp(y_j - <f, y>)``."""
        if y.ndim == 1:
            return -torch.nn.functional.logsigmoid(f * y)
        return torch.logsumexp(y - (f * y).sum(1, keepdim=True), 1)

    def slope(self, y: Tensor, f: Tensor) -> Tensor:
        """``-f / (1 + exp(f y))``, or ``p - f`` with the probabilities p."""
        return -f * torch.sigmoid(-f * y) if y.ndim == 1 else torch.softmax(y, 1) - f

    def factor(self, y: Tensor, f: Tensor) -> Tensor:
        """``sqrt(p (1 - p))``, or ``diag(sqrt p) - p sqrt(p)^T``: its square is ``diag(p) - p p^T``."""
        if y.ndim == 1:
            return (torch.sigmoid(y) * torch.sigmoid(-y)).sqrt()
        p = torch.softmax(y, 1)
        return torch.diag_embed(p.sqrt()) - p[:, :, None] * p.sqrt()[:, None, :]

    def evaluate(self, y: Tensor, f: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """Both from the same exponentials."""
        if y.ndim == 1:
            return super().evaluate(y, f, q)
        y = y - y.amax(1, keepdim=True)
        p = y.exp()
        total = p.sum(1)
        value = q @ (total.log() - (f * y).sum(1))
        return value, q[:, None] * (p / total[:, None] - f)

    def conjugate(self, g: Tensor, f: Tensor) -> Tensor:
        """``sum_j p_j log p_j`` where ``p = f + g``, of two classes ``(-f g, 1 + f g)``, are shares; +inf elsewhere."""
        p = _shares(g, f)
        inside = (p >= 0).all(1) & ((p.sum(1) - 1).abs() <= SIMPLEX[p.dtype])
        return torch.where(inside, torch.special.xlogy(p, p).sum(1), torch.inf)

    def answer(self, g: Tensor, f: Tensor) -> Tensor:
        """``log p``, of two classes ``f log((1 + f g) / (-f g))``; cut where shares are zero."""
        p = _shares(g, f).clamp(min=torch.finfo(g.dtype).tiny).log()
        return f * (p[:, 1] - p[:, 0]) if g.ndim == 1 else p

    def room(self, g: Tensor, step: Tensor, f: Tensor) -> Tensor:
        """Until a share is zero."""
        p, change = _shares(g, f), _shares(step, f) - _shares(0 * step, f)
        return torch.where(change < 0, p / -change, torch.inf).amin(1)

    def probabilities(self, y: Tensor) -> Tensor:
        """Of the classes, given the outputs y: (M, 2), of -1 and of 1, for y (M,); (M, k) for y (M, k)."""
        if y.ndim == 1:
            return torch.stack([torch.sigmoid(-y), torch.sigmoid(y)], dim=1)
        return torch.softmax(y, 1)


def _shares(g: Tensor, f: Tensor) -> Tensor:
    """The shares of the classes at which the slope is g, ``f + g``; of two, that of the wrong class first; (M, k)."""
    return torch.stack([-f * g, 1 + f * g], dim=1) if g.ndim == 1 else f + g


def _rows(q: Tensor, like: Tensor) -> Tensor:
    """The weights q (M,), beside rows."""
    return q if like.ndim == 1 else q[:, None]
