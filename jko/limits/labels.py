"""The label form in d = 1: the flow map X_t with H along it, spectral in the label.

A label u is where a characteristic starts.  rho_t is the image of rho_0 under theta = X_t(u), so no equation for rho is
left, and H is a function of u.  The derivatives that (3.19) and (3.21) need are ``B = d H/d theta = (D H) / (D theta)``
with the differentiation matrix D of the Chebyshev points u.  For smooth data the error falls faster than any power
of 1/n, which makes this form the reference for the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy, refuse, sorted_terms
from jko.limits import chebyshev
from jko.limits.course import Array, Times, kept_times, tolerance, travelled
from jko.limits.integration import EVALUATIONS, integrate
from jko.limits.rule import Rule
from jko.measures import ChargedParticles, Particles
from jko.shown import Shown
from jko.spaces import Box
from jko.trajectory import Trajectory

SLIP = 1e-12  # relative: labels at a wall may be so far beyond it


@dataclass(frozen=True, eq=False)
class Labels(Shown):
    """A smooth pair (rho, H) on an interval, by its values at Chebyshev points. Build it by :meth:`chebyshev`.

    Attributes
    ----------
    u : (n,)
        The labels, increasing, the ends of the interval included.
    density : (n,)
        rho_0 at the labels, normalised.
    H : (n,)
        H_0 at the labels.
    weights : (n,)
        ``density`` times the weights of Clenshaw and Curtis, with sum one: the masses, at all times.
    D : (n, n)
        The derivative in the label: ``(D f)_j = f'(u_j)``.
    domain : Box of one dimension or None
        Theta; None is all of R.  It is watched: a label that would leave it ends the integration.

    Examples
    --------
    >>> import jko
    >>> labels = jko.limits.Labels.chebyshev(
    ...     lambda x: 1 + 0 * x[:, 0], lambda x: x[:, 0], (-1.0, 1.0), 8
    ... )
    >>> round(float(labels.pair.integrate(labels.pair.H)), 9) + 0.0
    0.0
    """

    u: Tensor
    density: Tensor
    H: Tensor
    weights: Tensor
    D: Tensor
    domain: Box | None = None

    @classmethod
    def chebyshev(
        cls,
        density: Callable[[Tensor], Tensor],
        H: Callable[[Tensor], Tensor],
        bounds: tuple[float, float],
        n: int = 128,
        domain: Box | None = None,
    ) -> Labels:
        """rho_0 proportional to ``density`` on the interval ``bounds``, and H_0: functions of points (n, 1) to (n,).

        Raises
        ------
        ValueError
            Bounds in the wrong order or outside of the domain; fewer than 4 labels; a density that is not positive at
            some label; an H that is not finite.

        Examples
        --------
        >>> import jko
        >>> labels = jko.limits.Labels.chebyshev(
        ...     lambda x: 1 + 0 * x[:, 0], lambda x: x[:, 0] ** 3, (-1.0, 1.0), 16
        ... )
        >>> pair = labels.pair
        >>> round(float(pair.integrate(pair.H**2)), 12)  # 1/2 int u^6 du
        0.142857142857
        """
        lower, upper = checks.interval("bounds", bounds)
        checks.count("n", n, 4)
        checks.kind("domain", domain, Box, type(None), hint="an interval: jko.Box(lower, upper)")
        u = torch.from_numpy(chebyshev.nodes(n, lower, upper))
        at = u[:, None]
        if domain is not None:
            domain.check("labels", at)
        rho = checks.values("the density function", density, at).detach()
        charge = checks.values("the function H", H, at).detach()
        checks.floats("H", charge)
        if not bool((rho > 0).all()):
            i = int(rho.argmin())
            raise ValueError(
                f"the density is {float(rho[i]):g} at theta = {float(u[i]):g}; in label form it must be positive on "
                "all of the interval: choose narrower bounds"
            )
        masses = rho * torch.from_numpy(chebyshev.quadrature(n, lower, upper))
        total = masses.sum()
        D = torch.from_numpy(chebyshev.derivative(u.numpy()))
        return cls(u, rho / total, charge, masses / total, D, domain)

    def _facts(self) -> dict[str, object]:
        return {"labels": len(self.u), "on": f"{self.u[0]:g} .. {self.u[-1]:g}"}

    @property
    def pair(self) -> ChargedParticles:
        """The atoms at time zero: theta = u with H and the masses."""
        return self.at(self.u, self.H)

    def at(self, theta: Tensor, H: Tensor) -> ChargedParticles:
        """The atoms with the flow map at ``theta`` (n,) and ``H`` (n,) along it."""
        return ChargedParticles(theta[:, None], H, self.weights, self.domain)

    def stretch(self, pair: ChargedParticles) -> Tensor:
        """dX/du at the labels, (n,): one at time zero, zero at a fold."""
        return self.D @ self._own(pair).theta[:, 0]

    def rho(self, pair: ChargedParticles) -> Tensor:
        """The density of rho_t at the atoms of a state of this form, (n,): ``rho_0 / (dX/du)``."""
        return self.density / self.stretch(pair)

    def slope(self, pair: ChargedParticles) -> Tensor:
        """The graph slope ``B = dH/dtheta`` at the atoms of a state of this form, (n,)."""
        return (self.D @ self._own(pair).H) / self.stretch(pair)

    def _own(self, pair: ChargedParticles) -> ChargedParticles:
        checks.kind("pair", pair, ChargedParticles, hint="a state of this form's trajectory")
        if pair.d != 1 or not torch.equal(pair.weights, self.weights):
            raise ValueError(
                f"the pair ({pair!r}) is no state of these labels: its masses are not theirs; "
                "take it from the trajectory that started here"
            )
        return pair


def integrate_labels(
    rule: Rule,
    energy: Energy,
    start: Labels,
    t1: float,
    times: Times | None,
    rtol: float,
    evaluations: int = EVALUATIONS,
) -> Trajectory:
    """Solve one of the three systems along its characteristics.

    With w = -d_theta (dF/dmu), p = d_w (dF/dmu) at (H, theta), and v = w - p B:

    =======  ==================  ==================
    system   X' =                H' along it =
    =======  ==================  ==================
    (3.19)   v                   -p + v B
    (3.21)   v                   -p
    (3.23)   w                   -p
    =======  ==================  ==================

    Returns
    -------
    Trajectory
        Of :class:`ChargedParticles`; ``columns["tails"]`` is the size of the last Chebyshev coefficients of X and H
        relative to the largest: how well n labels resolve the solution.

    Raises
    ------
    ValueError
        An internal energy; times out of order or range; a tolerance below rounding.
    LimitStopped
        If characteristics meet, a label leaves its domain, the gradient is not finite, or the evaluations are used up.
    """
    refuse(
        sorted_terms(energy).internal,
        "the label form has no term for {energy}: diffusion needs a condition at the ends; start from a "
        "jko.ChargedDensity, which takes finite volumes",
    )
    t1 = checks.number("t1", t1, above=0)
    wanted = None if times is None else kept_times(times, t1)
    rtol = tolerance(rtol, start.u)
    n, D = len(start.u), start.D.numpy()

    def rates(t: float, y: Array) -> Array:
        theta, H = y[:n], y[n:]
        mu = Particles.of(torch.from_numpy(np.stack([H, theta], axis=1)), start.weights)
        p, minus_w = energy.gradient(mu).numpy().T
        B = (D @ H) / (D @ theta)
        u = rule.velocity(-minus_w, p, B)
        return np.concatenate([u, -p if rule.carried else -p + u * B])

    solution = integrate(
        rates,
        np.concatenate([start.u.numpy(), start.H.numpy()]),
        t1,
        rtol,
        wanted,
        event=lambda y: min(_rooms(start, y)),
        evaluations=evaluations,
    )
    if solution.stopped is not None:
        apart, inside = _rooms(start, solution.last)
        left, folded = _left(start, solution.stopped), _folded(solution.stopped, t1)
        solution = solution._replace(failure=left if inside < apart else folded)
    return travelled(
        energy,
        start.pair,
        solution,
        lambda t, row: start.at(_within(start.domain, row[:n]), torch.from_numpy(row[n:].copy())),
        lambda rows: {"tails": _tails(start, rows)},
    )


def _tails(start: Labels, rows: Sequence[Array]) -> Array:
    """The size of the last Chebyshev coefficients of X and H, the larger of both, in each row but the first."""
    u = start.u.numpy()
    parts = np.array(rows[1:]).reshape(-1, 2, len(u))
    return np.array([max(chebyshev.tail(u, part) for part in row) for row in parts])


def _within(domain: Box | None, X: Array) -> Tensor:
    """The labels, those beyond a wall by their slip put on it."""
    theta = torch.from_numpy(X.copy())
    return theta if domain is None else domain.project(theta[:, None])[:, 0]


def _rooms(start: Labels, y: Array) -> tuple[float, float]:
    """Positive as long as no characteristics meet, and as no label is beyond a wall."""
    X = y[: len(start.u)]
    return float((start.D.numpy() @ X).min()), _inside(start.domain, X)


def _inside(domain: Box | None, X: Array) -> float:
    """How far the labels are from leaving the domain, a slip of rounding included."""
    if domain is None:
        return np.inf
    slip = SLIP * (1 + float(np.abs(X).max()))
    return slip + min(float(X.min() - domain.lower[0]), float(domain.upper[0] - X.max()))


def _folded(t: float, t1: float) -> str:
    return (
        f"two characteristics meet at t = {t:g} of {t1:g}: the flow map folds there and rho has no density. Take t1 "
        "below; beyond, (3.23) goes on as jko.limits.wasserstein on particles, as a measure on R x Theta, and the "
        "others by finite volumes from a jko.ChargedDensity"
    )


def _left(start: Labels, t: float) -> str:
    return (
        f"a label leaves {start.domain!r} by t = {t:g}; from there on mass lies on the wall, where rho has no density. "
        "Take t1 below, or drop the domain, or take jko.limits.wasserstein on particles, which slide along walls, or "
        "finite volumes from a jko.ChargedDensity"
    )
