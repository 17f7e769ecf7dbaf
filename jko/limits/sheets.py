"""The full flow (3.7) of a measure on R x Theta with spread in w, d = 1, as a mixture of graphs.

``mu_0 = sum_a g_a (id, H_a)_# rho_0``: a quadrature of nu_theta, node by node a graph ("sheet").  The flow moves each
sheet by one and the same field, so it stays a graph until it folds, and at any theta density and moments are sums

    rho = sum_a g_a rho_0 / X_a',    rho H_i = sum_a g_a W_a^i rho_0 / X_a'    at the labels u_a with X_a(u_a) = theta.

With Chebyshev points in the label they are as accurate as the quadrature in w.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy
from jko.limits import chebyshev
from jko.limits.course import Array, Times
from jko.limits.labels import Labels
from jko.limits.moments import Measured, cumulants
from jko.limits.particles import wasserstein
from jko.limits.stopped import LimitStopped
from jko.measures import Particles
from jko.shown import Shown
from jko.trajectory import Trajectory

NEWTON = 30  # iterations for the label at which a sheet passes a point; four or five are enough where it is resolved


@dataclass(frozen=True, eq=False)
class Sheets(Shown):
    """A measure on R x Theta whose conditional laws nu_theta are given by a quadrature.

    Attributes
    ----------
    labels : Labels
        rho_0, and the mean H_1 at time zero.
    w : (S, n)
        The charges of the sheets at the labels.
    g : (S,)
        Their masses, with sum one.

    Examples
    --------
    >>> import jko, torch
    >>> labels = jko.limits.Labels.chebyshev(
    ...     lambda x: 1 + 0 * x[:, 0], lambda x: x[:, 0], (-1.0, 1.0), 8
    ... )
    >>> sheets = jko.limits.Sheets(labels, labels.H[None], torch.ones(1, 8).double())
    >>> sheets.w.shape
    torch.Size([1, 8])
    """

    labels: Labels
    w: Tensor
    g: Tensor

    @classmethod
    def normal(
        cls,
        density: Callable[[Tensor], Tensor],
        mean: Callable[[Tensor], Tensor],
        deviation: Callable[[Tensor], Tensor],
        bounds: tuple[float, float],
        n: int = 64,
        sheets: int = 12,
    ) -> Sheets:
        """Normal laws nu_theta with the given mean and standard deviation, by the rule of Gauss and Hermite.

        All functions take points (n, 1) to (n,); the others are as for :meth:`Labels.chebyshev`.  With S sheets the
        moments of nu_theta are exact at time zero up to order 2 S - 1.

        Examples
        --------
        >>> import jko
        >>> sheets = jko.limits.Sheets.normal(
        ...     lambda x: 1 + 0 * x[:, 0],
        ...     lambda x: x[:, 0],
        ...     lambda x: 1 + 0 * x[:, 0],
        ...     (-1.0, 1.0),
        ...     16,
        ...     4,
        ... )
        >>> sheets.measure
        Particles(N=64, dim=2, weights=unequal)
        """
        labels = Labels.chebyshev(density, mean, bounds, n)
        at = labels.u[:, None]
        s = checks.returned("the function deviation", deviation(at), (n,), at).detach()
        if not bool((s >= 0).all()):
            raise ValueError(
                f"deviation goes down to {float(s.min()):g}; a standard deviation is not negative"
            )
        z, g = np.polynomial.hermite_e.hermegauss(checks.count("sheets", sheets))
        w = labels.H + torch.from_numpy(z)[:, None] * s
        return cls(labels, w, torch.from_numpy(g / g.sum()))

    @property
    def measure(self) -> Particles:
        """The measure as atoms, sheet by sheet, (S n, 2)."""
        S, n = self.w.shape
        points = torch.stack([self.w, self.labels.u.expand(S, n)], dim=2).reshape(-1, 2)
        masses = (self.g[:, None] * self.labels.weights).reshape(-1)
        return Particles(points, masses / masses.sum())

    def flow(
        self,
        energy: Energy,
        *,
        t1: float,
        times: Times | None = None,
        rtol: float = 1e-10,
        max_evaluations: int | None = None,
    ) -> Trajectory:
        """The flow (3.7) of :attr:`measure`: :func:`wasserstein`."""
        return wasserstein(
            energy, self.measure, t1=t1, times=times, rtol=rtol, max_evaluations=max_evaluations
        )

    def moments(self, mu: Particles, theta: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The density of rho (m,) and H_1 ... H_k (k, m) at the points theta (m,), of a state mu of the flow.

        Outside of all sheets rho is zero, and so are the moments.

        Raises
        ------
        LimitStopped
            A RuntimeError: if a sheet has folded: then its density has more than one branch.
        """
        checks.count("k", k)
        checks.kind("mu", mu, Particles, hint="a state of this flow's trajectory")
        checks.shape("the points of mu", mu.points, (self.w.numel(), 2))
        at = checks.shape("theta", checks.floats("theta", theta), ("m",)).cpu().numpy()
        S, n = self.w.shape
        points = mu.points.reshape(S, n, 2).numpy()
        total = np.zeros((k + 1, len(at)))
        for g, (w, X) in zip(self.g.numpy(), points.transpose(0, 2, 1), strict=True):
            branch, charge = self._sheet(X, w, at)
            total += g * branch * charge ** np.arange(k + 1)[:, None]
        rho = torch.from_numpy(total[0])
        H = torch.from_numpy(total[1:])
        return rho, torch.where(rho > 0, H / torch.where(rho > 0, rho, 1.0), 0.0)

    def measured(
        self, energy: Energy, k: int, *, t1: float, points: int = 24, rtol: float = 1e-10
    ) -> Measured:
        """The closure of the hierarchy up to k by the cumulant of order k + 1 of this flow.

        Between the kept times, ``points`` Chebyshev points of [0, t1], by the polynomial through all of them.
        """
        times = chebyshev.nodes(checks.count("points", points, 2), 0.0, checks.number("t1", t1, 0))
        run = self.flow(energy, t1=t1, times=times, rtol=rtol)
        states = [mu.atoms for mu in run.states]

        @lru_cache(maxsize=4)
        def kept(at: bytes) -> Tensor:
            theta = torch.from_numpy(np.frombuffer(at).copy())
            return torch.stack([cumulants(self.moments(mu, theta, k + 1)[1])[-1] for mu in states])

        def cumulant(t: float, at: Tensor) -> Tensor:
            if t > run.times[-1] * (1 + 1e-12):
                raise ValueError(
                    f"t = {t:g}, but the moments were measured up to t1 = {t1:g}; measure them up to the end"
                )
            weights = torch.from_numpy(chebyshev.evaluation(run.times, np.array([t])))
            return weights[0] @ kept(at[:, 0].contiguous().numpy().tobytes())

        return Measured(cumulant)

    def _sheet(self, X: Array, w: Array, at: Array) -> tuple[Array, Array]:
        """rho_0 / X' and W of one sheet at the labels where X is ``at``; zero where it never is."""
        u, stretch = self.labels.u.numpy(), self.labels.D.numpy() @ X
        if stretch.min() <= 0:
            raise LimitStopped(
                "a sheet has folded, so its moments have no single branch; take earlier times"
            )
        inside = (at >= X[0]) & (at <= X[-1])
        label = np.interp(at[inside], X, u)
        for _ in range(NEWTON):
            E = chebyshev.evaluation(u, label)
            move = (E @ X - at[inside]) / (E @ stretch)
            label = np.clip(label - move, u[0], u[-1])
            if np.abs(move).max(initial=0.0) < 1e-13 * (u[-1] - u[0]):
                break
        E = chebyshev.evaluation(u, label)
        branch, charge = np.zeros_like(at), np.zeros_like(at)
        branch[inside] = np.exp(E @ self.labels.density.log().numpy()) / (E @ stretch)
        charge[inside] = E @ w
        return branch, charge
