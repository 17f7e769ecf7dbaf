"""The Wasserstein gradient flow (3.7) of atoms: the ordinary differential equation (2.4) with its potential.

It shares the energy's gradient with the JKO steps and nothing else: no step, no flow, no metric.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy
from jko.limits.course import Array, Times, kept_times, tolerance, travelled
from jko.limits.densities import evolve
from jko.limits.integration import EVALUATIONS, integrate
from jko.limits.normals import evolve_laws
from jko.limits.walls import slides, tangent
from jko.measures import (
    ChargedParticles,
    GridDensity,
    NormalLaws,
    Particles,
    State,
    TwoLayer,
)
from jko.measures.tensors import on_numbers
from jko.trajectory import Trajectory

RTOL, RTOL_CELLS = 1e-8, 1e-3  # of atoms, of densities
PARTS = 50  # equal parts of the time of a density, unless told otherwise


@np.errstate(all="ignore")
@on_numbers
def wasserstein(
    energy: Energy,
    start: State,
    *,
    t1: float,
    rtol: float | None = None,
    atol: float | None = None,
    times: Times | None = None,
    max_evaluations: int | None = None,
    drift: Callable[[Tensor], Any] | None = None,
    diffusion: Callable[[Tensor], Any] | float | None = None,
) -> Trajectory:
    """The gradient flow of an energy in W2, atom by atom: ``xi_i' = -grad (dF/dmu)(xi_i)``; of densities, the equation.

    On a pair (rho, H) it is the flow in D, (3.23)-(3.24): the same equation on the graph lift.  On a
    :class:`GridDensity` it is (3.7), with an entropy (4.2), with a porous medium (4.7), no flux through the box, by
    finite volumes of second order: :mod:`jko.limits.densities`.  On normal laws and mixtures of them it is the flow of
    means and covariances: :mod:`jko.limits.normals`.

    Parameters
    ----------
    energy : Energy
        F for :class:`Particles`, G for :class:`ChargedParticles`.
    start : Particles, ChargedParticles, TwoLayer, GridDensity, Gaussian or GaussianMixture
        The measure at time zero, any weights.
    t1 : float
        End time, > 0.
    rtol, atol
        Error allowed in a step of the integrator: ``rtol`` (default 1e-8) relative to each coordinate plus ``atol``;
        default ``rtol`` times the largest coordinate of the start.  Of a density ``rtol`` (default 1e-3) is the error
        of time in L1, times the mass: the estimate of a step of length dt is at most ``rtol dt / t1``, of an implicit
        one ``.03 rtol`` if that is more; at the end, less than ``rtol`` was left in all our tests, a fiftieth of it at
        fronts.  The error of space comes on top, and ``atol`` is not used.
    times : (K,), optional
        Increasing times in [0, t1] to keep, besides 0 and t1; default: the steps of the integrator, of densities 50
        equal parts.  Between kept times :meth:`Trajectory.at` takes straight lines, which are not accurate to
        ``rtol``.

    max_evaluations : int, optional
        A bound on the work: how often the velocity may be evaluated, default 100,000 for atoms, 1,000,000 for
        densities.
    drift : callable, optional
        Of densities: b, points (n, d) to vectors (n, d), any, it need be no gradient.  It adds ``-div(rho b)``.
    diffusion : callable or float, optional
        Of densities: D >= 0, points (n, d) to (n,), or (n, d) for the diagonal of a matrix.  It adds
        ``div(D grad rho)``.

    Returns
    -------
    Trajectory
        ``times``, ``energies``, ``states`` of the kind of ``start``; it has no columns.  Its ``status`` is FINISHED, or
        AT_REST if from some time on nothing moved any more within rounding: then the rest of the times have the state
        at rest.  ``energies`` are those of ``energy`` alone: with a drift or a diffusion they need not fall.

    Raises
    ------
    ValueError
        Times out of order or range; a tolerance below the rounding of the state; a drift or diffusion of another shape,
        not finite or negative, or of atoms.
    LimitStopped
        A RuntimeError, whose ``trajectory`` is what was computed before: if the gradient stops being finite, the
        integrator fails, the steps of a density fall to nothing, or ``max_evaluations`` are used up.

    Notes
    -----
    Source: survey (3.7), which on atoms is (2.4), and (3.23)-(3.24).  As printed, (2.9) has ``sum V(xi_i)`` and (2.4)
    has no potential; as implemented the potential enters as its mean ``(1/N) sum V(xi_i)``, and the factor N of (2.4)
    is absorbed: for any weights m the derivative of F in xi_i is ``m_i grad (dF/dmu)(xi_i)``.

    Atoms: explicit Runge-Kutta of order 8 (DOP853).  Where the problem is stiff, so that stability and not ``rtol``
    decides the steps, backward differences (BDF) at a hundredth of ``rtol`` go on, with the Jacobian of
    ``energy.second_order``, for up to 1500 unknowns.

    Densities: explicit steps of third order while these are few, so that accuracy decides their length; else implicit
    ones of second order (TR-BDF2) with Newton's method, on the CPU but for the fluxes.  The drift and the diffusion are
    taken at the midpoints of the faces, of the drift the component across; walls and obstacles let nothing through,
    and the mass stays.  For the law of Ito's ``dX = b dt + sqrt(2 D) dW`` with D(X), whose equation is
    ``d_t rho = -div(rho b) + Lap(D rho)``, give ``drift = b - grad D`` and ``diffusion = D``.

    With a domain this is the flow with no flux (3.11): the velocity is projected on the tangent cone, so that atoms
    slide along walls, rest in corners, and leave a wall where the velocity turns inwards.  Where an atom meets a wall
    its velocity jumps, and the steps shrink to ``rtol`` there.

    Examples
    --------
    >>> import jko
    >>> run = jko.limits.wasserstein(jko.SquaredNorm(), jko.Particles([[1.0]]), t1=1.0)
    >>> round(float(run.final.points), 6)
    0.367879

    A density that turns about the middle while it spreads; no energy falls along the drift:

    >>> import torch
    >>> turn = torch.tensor([[0.0, 3.0], [-3.0, 0.0]], dtype=torch.float64)
    >>> rho = jko.GridDensity.from_function(
    ...     jko.Grid((-4.0, 4.0), (48, 48)), lambda x: (-((x - 1) ** 2).sum(-1)).exp()
    ... )
    >>> run = jko.limits.wasserstein(
    ...     jko.SquaredNorm() + jko.Entropy(), rho, t1=0.5, times=[0.5], drift=lambda x: x @ turn
    ... )
    >>> [round(float(m), 1) for m in run.final.mean()]  # e^{-1/2} times (1, 1), turned by 3/2
    [-0.6, 0.7]
    """
    checks.kind("energy", energy, Energy)
    checks.kind("start", start, Particles, ChargedParticles, TwoLayer, GridDensity, NormalLaws)
    t1 = checks.number("t1", t1, above=0)
    if max_evaluations is not None:
        checks.count("max_evaluations", max_evaluations)
    mu = start.atoms
    default = RTOL_CELLS if isinstance(start, GridDensity) else RTOL
    rtol = tolerance(default if rtol is None else rtol, mu.points)
    atol = None if atol is None else checks.number("atol", atol, above=0)
    wanted = None if times is None else kept_times(times, t1)
    if isinstance(start, GridDensity):
        kept = np.linspace(0, t1, PARTS + 1) if wanted is None else wanted
        return evolve(energy, start, t1, kept, rtol, max_evaluations, drift, diffusion)
    if drift is not None or diffusion is not None:
        raise ValueError(
            "drift and diffusion are for densities: take a jko.GridDensity. Of atoms, noise is jko.limits.langevin"
        )
    if isinstance(start, NormalLaws):
        return evolve_laws(energy, start, t1, wanted, rtol, atol, max_evaluations)
    atoms = _Atoms(energy, mu)
    solution = integrate(
        atoms.velocity,
        mu.points.cpu().numpy().astype(np.float64).ravel(),
        t1,
        rtol,
        wanted,
        atol=atol,
        jacobian=atoms.jacobian,
        evaluations=max_evaluations or EVALUATIONS,
        rounding=torch.finfo(mu.points.dtype).eps,
    )
    return travelled(
        energy, start, solution, lambda t, flat: start.placed(atoms.inside(flat).points)
    )


class _Atoms:
    """The right side of (3.7) on atoms, in the coordinates of a flat vector."""

    def __init__(self, energy: Energy, mu: Particles) -> None:
        self.energy, self.mu = energy, mu

    def inside(self, flat: Array) -> Particles:
        """mu with its atoms moved to the rows of a flat vector, or to the points of the domain next to them."""
        points = torch.from_numpy(np.array(flat)).to(self.mu.points).view(self.mu.points.shape)
        return self.mu.moved(points if self.mu.domain is None else self.mu.domain.project(points))

    def velocity(self, t: float, flat: Array) -> Array:
        """-grad dF/dmu on the atoms (3.7), projected on the tangent cone of the domain (3.11)."""
        mu = self.inside(flat)
        v = tangent(mu.domain, mu.points, -self.energy.gradient(mu))
        return v.cpu().numpy().astype(np.float64).ravel()

    def jacobian(self, t: float, flat: Array) -> Array:
        """Its derivative, (N dim, N dim): minus the Hessian in L2(mu), between projections for atoms at walls."""
        mu = self.inside(flat)
        with torch.no_grad():
            matrix = -self._hessian(mu)
            if mu.domain is not None:
                along = slides(mu.domain, mu.points, -self.energy.gradient(mu))
                matrix = torch.einsum("iab,ibjc,jcd->iajd", along, matrix, along)
        n = mu.points.numel()
        return matrix.reshape(n, n).cpu().numpy().astype(np.float64)

    def _hessian(self, mu: Particles) -> Tensor:
        """The Hessian of T -> E(T_# mu) in L2(mu) as a matrix, (N, dim, N, dim); by differences at worst."""
        try:
            return self.energy.second_order(mu).matrix(mu)
        except (RuntimeError, TypeError, ValueError):  # a gradient that cannot be differentiated
            return _by_differences(self.energy, mu)


def _by_differences(energy: Energy, mu: Particles) -> Tensor:
    """The derivatives of the gradient in all coordinates of all atoms, (N, dim, N, dim)."""
    N, dim = mu.points.shape
    at = energy.gradient(mu)
    step = torch.finfo(at.dtype).eps ** 0.5 * (1 + float(mu.points.abs().max()))
    units = torch.eye(N * dim).to(at).view(N * dim, N, dim)
    columns = [(energy.gradient(mu.moved(mu.points + step * e)) - at) / step for e in units]
    return torch.stack(columns, dim=-1).view(N, dim, N, dim)
