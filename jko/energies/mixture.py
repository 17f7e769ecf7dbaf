"""A sum of internal energies is an internal energy: ``U = sum_i c_i U_i``, with its conjugate.

Value, slope, pressure and stiffness are sums.  The density of a pressure p is the root of ``sum_i c_i U_i'(rho) = p``,
found in s = log rho, where entropies and powers are smooth and no density underflows.  A :class:`Congestion` among the
terms cuts that density off at its limit, and has no other part in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko.energies.base import Energy
from jko.energies.congestion import Congestion
from jko.energies.internal import Conjugate, Entropy, Internal
from jko.energies.powers import PorousMedium

SWEEPS = 200  # of the safeguarded Newton method; it takes about six
NEAR = 1e-9  # relative: after so small a Newton step there is nothing to do
NEAREST = 1e-15  # relative: the same, of Wright's function
ROUNDING = 4e-16  # relative: log densities that differ by less are one


@dataclass(frozen=True)
class Mixture(Internal):
    """``int U(rho)`` with ``U = sum_i c_i U_i`` and c_i > 0, itself an :class:`jko.Internal`.

    Without a term U is 0: the density is 0, and the conjugate 0 for p <= 0 and +inf above.  With a
    :class:`jko.energies.Congestion` the density is the one of ``smooth``, the sum of the others, but never above
    ``ceiling``; where there are no others, see there.

    Attributes
    ----------
    summands : tuple of (c, Internal)
        Each energy once; build them from any terms by :meth:`of`.

    Examples
    --------
    >>> import jko, torch
    >>> from jko.energies import Mixture
    >>> U = Mixture.of([(0.1, jko.Entropy()), (1.0, jko.PorousMedium(2))])
    >>> rho = torch.tensor([0.5, 2.0], dtype=torch.float64)
    >>> [round(r, 12) for r in U.density(U.slope(rho)).tolist()]
    [0.5, 2.0]
    """

    summands: tuple[tuple[float, Internal], ...]

    def _line(self) -> str:
        return " + ".join(repr(c * E if c != 1 else E) for c, E in self.summands) or "0"

    @classmethod
    def of(cls, terms: Iterable[tuple[float, Internal]]) -> Mixture:
        """The sum of these terms, coefficients of equal energies added."""
        found: dict[Any, tuple[float, Internal]] = {}
        for c, E in terms:
            key = _key(E)
            found[key] = (c + found[key][0], E) if key in found else (c, E)
        return cls(tuple(found.values()))

    @property
    def terms(self) -> tuple[tuple[float, Energy], ...]:
        """The summands."""
        return self.summands

    @property
    def ceiling(self) -> float:  # type: ignore[override]
        """The lowest of the summands' ceilings."""
        return min((E.ceiling for _, E in self.summands), default=math.inf)

    @cached_property
    def smooth(self) -> Mixture:
        """The sum without congestion."""
        rest = tuple((c, E) for c, E in self.summands if not isinstance(E, Congestion))
        return self if len(rest) == len(self.summands) else Mixture(rest)

    @property
    def congested(self) -> bool:
        """Whether there is a :class:`Congestion` among the summands."""
        return self.smooth is not self

    def suits(self, dim: int) -> None:
        """Refuse what one of the summands refuses."""
        for _, E in self.summands:
            E.suits(dim)

    def U(self, rho: Tensor) -> Tensor:
        """``sum c_i U_i(rho)``."""
        return _sum([c * E.U(rho) for c, E in self.summands], rho)

    def slope(self, rho: Tensor) -> Tensor:
        """``sum c_i U_i'(rho)``."""
        return _sum([c * E.slope(rho) for c, E in self.summands], rho)

    def pressure(self, rho: Tensor) -> Tensor:
        """``rho U'(rho) - U(rho)``, term by term."""
        return _sum([c * E.pressure(rho) for c, E in self.summands], rho)

    def stiffness(self, rho: Tensor) -> Tensor:
        """``U''(rho)``, term by term."""
        return _sum([c * E.stiffness(rho) for c, E in self.summands], rho)

    def of_log(self, s: Tensor) -> tuple[Tensor, Tensor]:
        """``U'(rho)`` and ``rho U''(rho)`` at rho = e^s, term by term."""
        total, rate = torch.zeros_like(s), torch.zeros_like(s)
        for c, E in self.summands:
            slope, rise = E.of_log(s)
            total, rate = total + c * slope, rate + c * rise
        return total, rate

    def per_mass(self, s: Tensor) -> Tensor:
        """``U(rho) / rho`` at rho = e^s, term by term."""
        return _sum([c * E.per_mass(s) for c, E in self.summands], s)

    def density(self, p: Tensor) -> Tensor:
        """``(U*)'(p)``: of one term its own, of several the root."""
        if self.congested:
            return self._cut(p).density
        if not self.summands:
            return torch.zeros_like(p)
        if len(self.summands) == 1:
            ((c, E),) = self.summands
            return E.density(p / c)
        return self.log_density(p).exp()

    def density_slope(self, p: Tensor) -> Tensor:
        """``(U*)''(p)``."""
        return self.conjugate(p).slope

    def conjugate(self, p: Tensor) -> Conjugate:
        """``U*(p)`` and its derivatives, from one root.

        The value is ``sum_i c_i U_i*(q_i / c_i)`` with ``q_i = c_i U_i'(rho)``, but what is left of p for the last
        term.  For any rho that is an upper bound on U*(p), as certificates need, and at the root there is equality.
        """
        if self.congested:
            return self._cut(p)
        if not self.summands:
            none = torch.zeros_like(p)
            return Conjugate(torch.where(p > 0, torch.inf, none), none, none)
        if len(self.summands) == 1:
            ((c, E),) = self.summands
            value, rho, slope = E.conjugate(p / c)
            return Conjugate(c * value, rho, slope / c)
        rho = self.density(p)
        *others, (c, last) = sorted(self.summands, key=lambda term: _takes(term[1], p))
        value, left = torch.zeros_like(p), p
        for a, E in others:
            q = E.slope(rho)
            value, left = value + a * _peak(E, q), left - a * q
        value = value + c * _peak(last, left / c)
        full = rho > 0
        return Conjugate(*(torch.where(full, x, 0) for x in (value, rho, 1 / self.stiffness(rho))))

    def _cut(self, p: Tensor) -> Conjugate:
        """U* goes on straight, with the slope ``ceiling``, above the price of that density."""
        top, price = self.ceiling, self._price(p)
        value, rho, slope = self.smooth.conjugate(p.clamp(max=price))
        over = (p - price).clamp(min=0).nan_to_num(0.0)
        full = over > 0
        return Conjugate(
            value + top * over,
            torch.where(full, top, rho.clamp(max=top)),
            torch.where(full, 0, slope),
        )

    def _price(self, like: Tensor) -> float:
        """The price up to which congestion does not matter, a number of the kind of ``like``."""
        return float(self.smooth.slope(like.new_tensor(self.ceiling)))

    @cached_property
    def _heat_and_power(self) -> tuple[float, float, float] | None:
        """``(h, c, m)`` where this is h Entropy + c PorousMedium(m), whose density is in closed form."""
        if len(self.summands) != 2:
            return None
        (h, one), (c, two) = sorted(self.summands, key=lambda term: type(term[1]) is not Entropy)
        if type(one) is Entropy and isinstance(two, PorousMedium) and type(two) is PorousMedium:
            return (h, c, two.m) if 0 < c / h < math.inf else None
        return None

    def log_density(self, p: Tensor) -> Tensor:
        """The root s of ``sum_i c_i U_i'(e^s) = p``; -inf where p is at most U'(0).

        There some U_i' is at most ``p / sum c``, another at least that, so that the densities which have this slope
        enclose the root; one of them may be 0 or infinite.
        """
        if self.congested:
            full = torch.where(p > 0, torch.inf, p.new_full((), -torch.inf))  # without others
            rest = self.smooth.log_density(p) if self.smooth.summands else full
            return rest.clamp(max=math.log(self.ceiling))
        if len(self.summands) == 1:
            ((c, E),) = self.summands
            return E.log_density(p / c)
        if (pair := self._heat_and_power) is not None:
            h, c, m = pair
            # with w = c / h rho^(m - 1):  log w + w = (m - 1) (p / h - 1) + log c / h
            shift = math.log(c / h)
            return (log_omega((m - 1) * (p / h - 1) + shift) - shift) / (m - 1)
        share = p / sum(c for c, _ in self.summands)
        ends = torch.stack([E.log_density(share) for _, E in self.summands])
        empty = p <= self.slope(torch.zeros_like(p))
        known = empty | ~p.isfinite()
        low, high = (torch.where(known, 0, end) for end in (ends.amin(0), ends.amax(0)))
        found = torch.where(known, p, root(self.of_log, p, low, high))
        return torch.where(empty, -torch.inf, found)


def _sum(parts: list[Tensor], like: Tensor) -> Tensor:
    """Their sum; zeros without a part."""
    return sum(parts[1:], parts[0]) if parts else torch.zeros_like(like)


def log_omega(t: Tensor) -> Tensor:
    """The root L of ``L + e^L = t`` (e^L is Wright's omega, Lambert's W of e^t): Newton from above."""
    L = torch.where(t > 1, t.clamp(min=1).log(), t)
    for _ in range(SWEEPS):
        w = L.exp()
        step = (L + w - t) / (1 + w)
        step = torch.where(t.isfinite(), step, 0)
        L = L - step
        if float(step.abs().max()) <= NEAREST * (1 + float(L.nan_to_num(0, 0, 0).abs().max())):
            break
    return L


def root(
    of_log: Callable[[Tensor], tuple[Tensor, Tensor]], p: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """The s in [low, high] at which an increasing slope is p: Newton, or bisection where that is no faster.

    Ends may be infinite: they are sought by steps that double.
    """
    s = torch.where(low.isfinite(), low, torch.where(high.isfinite(), high, 0))
    last, reach = torch.full_like(s, torch.inf), torch.ones_like(s)
    done = low == high
    for _ in range(SWEEPS):
        slope, rise = of_log(s)
        excess = slope - p
        low, high = torch.where(excess < 0, s, low), torch.where(excess > 0, s, high)
        new = s - excess / rise
        move = (new - s).abs()
        fast = (new >= low) & (new <= high) & (move <= 0.5 * last)
        bisected = torch.where(low == -torch.inf, high - reach, 0.5 * (low + high))
        bisected = torch.where(high == torch.inf, low + reach, bisected)
        reach = torch.where(fast, reach, 2 * reach)
        new = torch.where(done | (excess == 0), s, torch.where(fast, new, bisected))
        done |= (fast & (move <= NEAR * (1 + s.abs()))) | (excess == 0)
        done |= (high - low) <= ROUNDING * (1 + s.abs())
        last, s = (new - s).abs(), new
        if bool(done.all()):
            break
    return s


def _key(E: Internal) -> Any:
    """The energy where it can be compared, else its identity."""
    try:
        hash(E)
    except TypeError:  # it has a field such as a list
        return id(E)
    return E


def _peak(E: Internal, q: Tensor) -> Tensor:
    """``U*(q)`` alone."""
    rho = E.density(q)
    return torch.where(rho > 0, q * rho, 0) - E.U(rho)


def _takes(E: Internal, like: Tensor) -> tuple[bool, bool]:
    """Whether U' takes all low prices, and all high ones; only a term that does can take what is left of one."""
    low, high = E.slope(like.new_tensor([0.0, torch.inf])).tolist()
    return low == -math.inf, high == math.inf
