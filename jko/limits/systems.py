"""The three evolutions of a pair (rho, H) in section 3 of the survey: (3.19), (3.21)-(3.22), (3.23)-(3.25).

Let ``phi(w, theta)`` be the first variation of the energy at the current pair, and ``p = d_w phi`` at w = H(theta).
All three move rho by ``d_t rho + div(rho u) = 0`` and let H fall at the rate p.  They differ in two answers.

- Which gradient is u?  ``-grad [theta -> phi(H(theta), theta)]``, H differentiated too, for (3.19) and (3.21);
  ``-(grad_theta phi)(H(theta), theta)``, H held, for (3.23).
- Where does H fall?  At a fixed theta, ``d_t H = -p``, for (3.19); along u, ``d_t H + u . grad H = -p``, for
  the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import isfinite

from jko import checks
from jko.deprecation import warn
from jko.energies import Energy
from jko.limits.course import Times, kept_times
from jko.limits.densities import EVALUATIONS_CELLS
from jko.limits.integration import EVALUATIONS
from jko.limits.labels import Labels, integrate_labels
from jko.limits.meshes import integrate_mesh
from jko.limits.particles import wasserstein
from jko.limits.rule import Noise, Rule
from jko.limits.spans import integrate_span
from jko.limits.volumes import evolve, rate
from jko.measures import ChargedDensity, ChargedMesh, ChargedParticles, ChargedSpan
from jko.measures.tensors import on_numbers
from jko.trajectory import Trajectory

SAMPLES = 50  # states on a grid that are kept if no times are asked for, besides the start


@dataclass(frozen=True)
class System(Rule):
    """One of the three systems for (rho, H): call it to solve it, for any energy and from any state it can start at.

    :data:`jko.limits.separated`, :data:`jko.limits.transported` and :data:`jko.limits.chaos` are the three.

    Its attributes are those of its :class:`~jko.limits.rule.Rule`.

    Notes
    -----
    Source: survey (3.19); (3.20)-(3.22); (3.23)-(3.25), which is (3.30)-(3.31).  The survey writes the first two for
    ``Vbar = lam/2 (H^2 + |theta|^2)``; here ``Vbar(H, theta)`` is whatever the energy holds.  As printed, the display
    above (3.21) has ``- lam H``; as implemented it is ``+ lam H``, as in (3.21).

    Examples
    --------
    >>> import jko, torch
    >>> pair = jko.ChargedDensity.from_function(
    ...     jko.Grid((-3.0, 3.0), 60), lambda x: (-2 * x[:, 0] ** 2).exp(), lambda x: 3 * x[:, 0]
    ... )
    >>> E = jko.SquaredNorm() + jko.Entropy()
    >>> run = jko.limits.chaos(E, pair, t1=0.1)
    >>> bool(run.energies[-1] < run.energies[0])
    True
    >>> literally = jko.limits.chaos(E, pair, t1=0.1, noise="literal")  # Remark 4.1, word for word
    >>> bool(literally.energies[-1] < literally.energies[0])
    False
    """

    def _line(self) -> str:
        return f"System {self.equation}"

    @np.errstate(all="ignore")
    @on_numbers
    def __call__(
        self,
        energy: Energy,
        start: ChargedDensity | Labels | ChargedSpan | ChargedParticles | ChargedMesh,
        *,
        t1: float,
        times: Times | None = None,
        noise: Noise = "carried",
        literal: bool | None = None,
        rtol: float = 1e-8,
        max_evaluations: int | None = None,
    ) -> Trajectory:
        """The solution from ``start`` to the time t1.

        ====================  ===========================================  =========================
        start                 method                                       systems
        ====================  ===========================================  =========================
        ChargedDensity        finite volumes, d = 1, 2, 3                  all
        Labels                characteristics, spectral in the label       all, d = 1
        ChargedSpan of atoms  characteristics, H in the span of features   (3.19), any d
        ChargedParticles      characteristics: ``jko.limits.wasserstein``  (3.23), any d
        ChargedMesh           nodes, internal energies by their cells      (3.23), d = 1
        ====================  ===========================================  =========================

        Parameters
        ----------
        energy : Energy
            G: any energy of pairs.  Internal energies of rho need a :class:`jko.ChargedDensity`.
        start
            The pair at time zero.  On a grid H must be finite in every cell, also where there is no mass.
        t1 : float
            End time, > 0.
        times : (K,), optional
            Increasing times in [0, t1] to keep, besides 0 and t1.  Default on a grid: 50 equal parts; else the steps of
            the integrator.
        noise : "carried", "literal" or "averaged"
            How H feels an internal energy ``c int U(rho)``, which adds ``q = -c grad U'(rho)`` to the velocity of rho:
            three readings of Remark 4.1.

            - carried: q carries H too, as in the gradient flow of G in D.
            - literal: it does not; the equation of H is left as it is.
            - averaged: of entropy alone, where rho diffuses since there is noise in theta, and each atom carries a
              charge of its own: H is the mean of those that meet, ``d_t H + u . grad H = -p + c (Lap H + grad log rho .
              grad H)``, of (3.23).  It is closed by taking the velocity at the mean: exact where that does not depend
              on w, an approximation else.  :func:`jko.limits.langevin` of a pair are these atoms.

            For (3.19), where nothing carries H, the first two are the same.
        literal : bool
            The old name of ``noise="literal"``.
        rtol : float
            Tolerance of the integrators of characteristics; finite volumes are as accurate as their grid.

        max_evaluations : int, optional
            A bound on the work: how often the right side may be evaluated, default 100,000 for characteristics,
            1,000,000 for finite volumes.

        Returns
        -------
        Trajectory
            ``times``, ``energies``, ``states``; on a grid it has no columns.  Its ``status`` is FINISHED, or AT_REST
            where nothing moved any more within rounding, so that the rest of the times have the state at rest.

        Raises
        ------
        TypeError
            A start that this system cannot go on from.
        ValueError
            H not finite in some cell; times out of order or range; an internal energy with a negative coefficient.
        LimitStopped
            A RuntimeError, whose ``trajectory`` is what was computed before: if the gradient is not finite, the
            velocity grows so that the time steps vanish, characteristics meet, or ``max_evaluations`` are used up.

        Notes
        -----
        Finite volumes (order two where the solution is smooth): upwind values from piecewise linear cells, limited
        (MUSCL, MC), in Runge-Kutta steps of order three made of Euler steps (Shu and Osher), at a Courant number of
        0.4.  So rho >= 0, and mass is kept to rounding: no face of the boundary carries a flux, (3.25).  H is never
        divided out of ``rho H``, which would be noise in empty cells.  Internal energies are explicit: with them the
        number of steps grows as 1/spacing^2.

        Three things to know.

        1. Where the velocity points out of Theta, mass piles up at the wall.  Atoms come to lie on it, each with its
           own H, so that the limit is no graph; a grid shows means over the last cell, and there it converges with
           first order only.  Watch ``state.values`` in the outermost cells.
        2. Once the graph of H folds, the solution of (3.7) is no pair any more.  The grid goes on with an H that jumps;
           it does not solve (3.7), and G need not fall.  :class:`jko.ChargedParticles` go on with (3.7).
        3. For (3.21) H solves an equation of Hamilton-Jacobi type, and can form kinks.
        """
        checks.kind("energy", energy, Energy)
        noise = _reading(noise, literal, above=5)
        if max_evaluations is not None:
            checks.count("max_evaluations", max_evaluations)
        if isinstance(start, ChargedDensity):
            t1 = checks.number("t1", t1, above=0)
            kept = np.linspace(0, t1, SAMPLES + 1) if times is None else kept_times(times, t1)
            whole = _without_gaps("start", start)
            return evolve(
                self, energy, whole, t1, kept, noise, max_evaluations or EVALUATIONS_CELLS
            )
        allowed = max_evaluations or EVALUATIONS
        if isinstance(start, ChargedMesh) and self.carried and not self.total:
            return integrate_mesh(self, energy, start, t1, times, rtol, noise, allowed)
        if noise != "carried":
            raise ValueError(
                f"noise={noise!r} says how internal energies of a density act on H, but {type(start).__name__} has no "
                "density: leave it out, or start from a jko.ChargedDensity or, in (3.23), a jko.ChargedMesh"
            )
        if isinstance(start, Labels):
            return integrate_labels(self, energy, start, t1, times, rtol, allowed)
        if isinstance(start, ChargedParticles) and not self.total:
            return wasserstein(
                energy, start, t1=t1, times=times, rtol=rtol, max_evaluations=allowed
            )
        if isinstance(start, ChargedSpan) and not self.carried:
            return integrate_span(energy, start, t1, times, rtol, allowed)
        raise self._refusal(start)

    @on_numbers
    def rate(
        self,
        energy: Energy,
        state: ChargedDensity,
        literal: bool | None = None,
        *,
        noise: Noise = "carried",
    ) -> float:
        """The time derivative of G along the system, by formula, at a pair on a grid.

        With ``u_D = -(grad_theta phi)(H, theta) - c grad U'(rho)`` the velocity of the gradient flow in D, u that of
        rho and a the one that carries H,

        ``dG/dt = int [ -u_D . u + p grad H . (u - a) - p^2 ] drho``.

        - (3.19): ``-int |u|^2 drho - int p^2 drho``, as the survey says below it.
        - (3.21): ``-int [|u_D|^2 + p^2 - p u_D . grad H] drho``, which is positive for some pairs.
        - (3.23): ``-int |u_D|^2 drho - int p^2 drho``, Proposition 3.3.
        - (3.23) with ``noise="literal"``: the same, and ``-int p c grad U'(rho) . grad H drho``, of either sign.
        - (3.23) with ``noise="averaged"``: the first, and ``-c int grad p . grad H drho``, of either sign.

        Gradients of phi are exact, those of H and rho differences of second order.

        Raises
        ------
        TypeError, ValueError
            Not a :class:`jko.ChargedDensity`, or one whose H is not finite in some cell.

        Examples
        --------
        >>> import jko
        >>> pair = jko.ChargedDensity.from_function(
        ...     jko.Grid((-3.0, 3.0), 600),
        ...     lambda x: (-2 * x[:, 0] ** 2).exp(),
        ...     lambda x: 3 * x[:, 0],
        ... )
        >>> E = jko.SquaredNorm() + jko.Entropy()
        >>> readings = "carried", "literal", "averaged"
        >>> [round(jko.limits.chaos.rate(E, pair, noise=noise), 2) for noise in readings]
        [-4.5, 4.5, -13.5]
        """
        checks.kind("energy", energy, Energy)
        checks.kind("state", state, ChargedDensity, hint="the formula needs grad H and rho")
        return rate(self, energy, _without_gaps("state", state), _reading(noise, literal, above=4))

    def _refusal(self, start: object) -> TypeError:
        ways = "a jko.ChargedDensity or, in d = 1, jko.limits.Labels"
        if isinstance(start, ChargedParticles):
            why = "its velocity contains grad H, which atoms do not have"
            ways += ", or a jko.ChargedSpan" * (not self.carried)
        elif isinstance(start, ChargedSpan):
            why = "it carries H along, which leaves the span of H0 and the features"
            ways += "" if self.total else ", or start.lift().project()"
        else:
            why = "this is no pair (rho, H) that it knows how to move"
        return TypeError(
            f"{self.equation} cannot start from {type(start).__name__}: {why}; give it {ways}"
        )


def _reading(noise: Noise, literal: bool | None, above: int) -> Noise:
    """One of the three readings of Remark 4.1; which of them exist says ``check_noise``."""
    if literal is None:
        return noise
    checks.kind("literal", literal, bool)
    warn("the argument literal of a system", 'noise="literal"', stacklevel=above)
    return "literal" if literal else noise


def _without_gaps(name: str, pair: ChargedDensity) -> ChargedDensity:
    """The pair, if its H is finite in every cell."""
    gaps = int((~isfinite(pair.H)).sum())
    if gaps:
        raise ValueError(
            f"H of {name} is not finite in {gaps} of {pair.grid.N} cells, which hold no mass; mass may come there "
            "and the differences of H reach there, so continue H to them, by a constant or a smooth function"
        )
    return pair


#: (3.19): H falls at a fixed theta; the gradient flow of G for W2 of rho and L2(rho) of H
separated = System("(3.19)", total=True, carried=False)
#: (3.21)-(3.22): the velocity of (3.19) carries H; no gradient flow, G may grow
transported = System("(3.21)", total=True, carried=True)
#: (3.23)-(3.25): (3.7) seen through its graph; the gradient flow of G in D
chaos = System("(3.23)", total=False, carried=True)
