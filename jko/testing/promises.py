"""A promise that is kept, or a sentence; and the slope of values by differences, with what it may be wrong by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

STEP = 2.0**-10  # of the differences, relative to the size of a move
CLOSE = 1e-5  # relative: how near a claimed slope must be to a trusted difference
TRUSTED = 1e-2  # relative: a difference that half the step changes by more is not believed
NOISE = 1e3  # of values, in units of their last place
SUMS = 1e-9  # relative, in double precision: what two orders of summation may differ by


class BrokenPromise(AssertionError):
    """A promise of a contract that does not hold; the sentence says which, by what numbers, and where to look.

    Examples
    --------
    >>> import jko
    >>> from jko.testing import BrokenPromise, check_energy
    >>> class Wrong(jko.SquaredNorm):
    ...     def __call__(self, state):
    ...         return 2 * super().__call__(state)  # but the variation of one
    >>> try:
    ...     check_energy(Wrong())
    ... except BrokenPromise:
    ...     print("the variation is not that of the values")
    the variation is not that of the values
    """


def promise(kept: object, owner: object, method: str, sentence: str) -> None:
    """Nothing, or :class:`BrokenPromise` in the form ``Class.method: sentence``."""
    if not kept:
        raise BrokenPromise(f"{type(owner).__name__}.{method}: {sentence}")


class Difference(NamedTuple):
    """The derivative of values by differences, of any shape, and a bound of its error."""

    value: Tensor
    error: float

    @classmethod
    def of(cls, values: Callable[[float], Tensor], one_sided: bool = False) -> Difference:
        """``d/ds values(s)`` at 0 by Richardson's extrapolation; one-sided where s < 0 means nothing."""
        with torch.no_grad():
            here = values(0.0)
            rough, fine = (_difference(values, here, h, one_sided) for h in (STEP, STEP / 2))
        eps = torch.finfo(here.dtype).eps
        noise = NOISE * eps * float(here.abs().max()) / STEP
        return cls((4 * fine - rough) / 3, float((fine - rough).abs().max()) + noise)

    def apart(self, claimed: Tensor) -> tuple[float, float] | None:
        """The claimed number and the difference that contradicts it most; None where they agree or nobody knows."""
        size = float(torch.maximum(self.value.abs(), claimed.abs()).max())
        if not self.error <= TRUSTED * size + NOISE * torch.finfo(claimed.dtype).eps:
            return None
        gap = (claimed - self.value).abs().reshape(-1)
        if bool(gap.max() <= CLOSE * size + self.error):
            return None
        worst = int(gap.nan_to_num(torch.inf).argmax())
        return float(claimed.reshape(-1)[worst]), float(self.value.reshape(-1)[worst])


def _difference(
    values: Callable[[float], Tensor], here: Tensor, h: float, one_sided: bool
) -> Tensor:
    if one_sided:
        return (4 * values(h / 2) - 3 * here - values(h)) / h
    return (values(h) - values(-h)) / (2 * h)


def rounding(dtype: torch.dtype, tolerance: float = SUMS) -> float:
    """What two ways to compute a number may differ by, relative; with more to spare in low precision."""
    return max(tolerance, 1e4 * torch.finfo(dtype).eps)


def same(a: Tensor, b: Tensor, tolerance: float = SUMS) -> bool:
    """Whether two tensors are equal up to rounding of the largest number."""
    if a.shape != b.shape:
        return False
    scale = float(torch.maximum(a.abs(), b.abs()).max()) if a.numel() else 0.0
    return bool(((a - b).abs() <= rounding(a.dtype, tolerance) * scale + 1e-300).all())


REFUSALS = (TypeError, ValueError)
UNFIT = (*REFUSALS, IndexError, RuntimeError)  # ... and what torch says of another dimension


def accepted(
    samples: list[Any],
    asks: Callable[[Any], Any],
    owner: object,
    method: str,
    refusals: tuple[type[Exception], ...] = REFUSALS,
) -> list[Any]:
    """Of our own samples those that are not refused; a sentence where all are."""
    found, last = [], "none"
    for sample in samples:
        try:
            asks(sample)
        except refusals as refusal:
            last = f"{type(refusal).__name__}: {refusal}"
        else:
            found.append(sample)
    said = (
        "refuses every sample there is here; hand some of its own to the check. "
        f"The last refusal: {last}"
    )
    promise(found, owner, method, said)
    return found
