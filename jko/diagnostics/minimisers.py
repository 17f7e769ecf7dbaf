"""N-atom minimisers: the least energy that N neurons reach, section 2.2.1 (i)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.dissipation import stationarity
from jko.energies import Energy
from jko.measures import Particles
from jko.metrics import Wasserstein
from jko.status import Status
from jko.steps.lagrangian import Coupling, starting_point
from jko.steps.lbfgs import LBFGS
from jko.steps.memory import Memory
from jko.steps.problem import StepProblem

GROWTH = 4.0  # of tau from step to step
STILL = 3  # steps in a row that lower neither the energy nor the residual


@dataclass(frozen=True, eq=False)
class BestParticles:
    """The best of the local minimisers of an energy that some starts lead to.

    Attributes
    ----------
    state : Particles
        Its atoms.
    energy : float
        F there, an upper bound of min F_N.
    residual : float
        Root mean square of ``|grad dF/dmu|`` on the atoms, :func:`jko.stationarity`; its own, not the worst.
    energies : (K,)
        Where each start ended, in the order given: how far they agree tells how far to trust the best.
    steps : int
        Proximal steps, of all starts together.
    status : Status
        CONVERGED; STALLED (a kink, or rounding), MAX_ITERATIONS, or what ended a step.
    """

    state: Particles
    energy: float
    residual: float
    energies: NDArray[np.float64] = field(repr=False)
    steps: int
    status: Status

    def __str__(self) -> str:
        agree = int((self.energies <= self.energy + 1e-9 * (1 + abs(self.energy))).sum())
        return (
            f"energy {self.energy:.10g}  residual {self.residual:.1e}  "
            f"({agree} of {len(self.energies)} starts; {self.status.name})"
        )


def best_particles(
    energy: Energy,
    starts: Particles | Sequence[Particles],
    *,
    tol: float = 1e-9,
    max_steps: int = 40,
) -> BestParticles:
    """The least energy found among N atoms: ``min F_N``, ``F_N(xi_1, ..., xi_N) = F(sum_i m_i delta_xi_i)``.

    From each start the proximal point method: steps like those of :func:`jko.step` with :class:`jko.LBFGS`, the tau of
    which grows fourfold, and in which each atom keeps its partner, whether or not that is optimal.  The energy falls
    at every step, and the atoms go to a local minimum superlinearly.  F_N is not convex even where F is; several
    starts are a search, not a proof.  For a proof over all measures, hence over N atoms, see the example.

    Parameters
    ----------
    energy : Energy
        F, finite on atoms.
    starts : Particles or sequence of them
        Where to begin; the number of atoms and their weights are kept, and may differ from start to start.
    tol
        Stop when ``|grad dF/dmu|`` in L2(mu) is below ``tol`` times its size at the start.
    max_steps
        From one start.

    Returns
    -------
    BestParticles
        Unconverged results say so in ``status``; an energy with kinks (ReLU) has minima where no gradient vanishes, and
        ends STALLED.

    Raises
    ------
    ValueError
        If there is no start, or an energy at a start is not finite.
    TypeError
        If a start is no cloud of atoms.

    Notes
    -----
    Source: survey 2.2.1 (i): ``min F_N - min F <= C/N``.

    Examples
    --------
    >>> import jko, torch
    >>> E = jko.Interaction(lambda z: (0.5 * z**2 - z.abs())[:, 0])  # N atoms end evenly spaced
    >>> best = jko.best_particles(E, jko.Particles([[0.3], [0.1], [0.9], [-0.4]]))
    >>> gaps = best.state.points[:, 0].sort().values.diff()
    >>> [round(float(gap), 8) for gap in gaps]
    [0.5, 0.5, 0.5]

    How much fewer atoms cost, with proof: a lower bound of F over all measures.

    >>> data = jko.Data([[-1.0], [0.5], [1.0]], [0.5, 0.2, -0.7])
    >>> F = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 0.1 * jko.SquaredNorm()
    >>> random = torch.Generator().manual_seed(0)
    >>> starts = [jko.Particles.normal(2, 3, generator=random) for _ in range(4)]
    >>> best = jko.best_particles(F, starts)
    >>> bound = jko.optimality(F, best.state).lower_bound
    >>> bound <= best.energy
    True
    """
    checks.kind("energy", energy, Energy, hint="build it from jko.Risk, jko.SquaredNorm, ... by +")
    checks.number("tol", tol, above=0)
    checks.count("max_steps", max_steps)
    clouds = [starts] if isinstance(starts, Particles) else list(starts)
    if not clouds:
        raise ValueError("no start: give jko.Particles, or a list of them")
    for k, mu in enumerate(clouds):
        checks.kind(f"starts[{k}]", mu, Particles, hint="of a pair (rho, H) take its lift()")
        if not math.isfinite(float(energy(mu))):
            raise ValueError(f"the energy of starts[{k}] is not finite; begin where it is")
    ends = [_descend(energy, mu, tol, max_steps) for mu in clouds]
    return replace(
        min(ends, key=lambda end: end.energy),
        energies=np.array([end.energy for end in ends]),
        steps=sum(end.steps for end in ends),
    )


def _descend(energy: Energy, mu: Particles, tol: float, max_steps: int) -> BestParticles:
    """The proximal point method with a growing tau; each atom keeps its partner, so nothing is to be transported."""
    solver, at, memory = LBFGS(), energy.evaluate(mu), Memory()
    value, residual = float(at.value), stationarity(energy, mu).mean
    allowed = tol * residual
    tau = 2 * abs(value) / residual**2 if value and residual else 1.0  # Polyak's length
    still = steps = 0
    status = Status.CONVERGED
    while residual > allowed:
        if still == STILL:
            status = Status.STALLED
            break
        if steps == max_steps:
            status = Status.MAX_ITERATIONS
            break
        memory |= at._asdict()
        problem, coupling = StepProblem(energy, Wasserstein(), mu, tau, memory), Coupling(mu.points)
        start = starting_point(problem, coupling, mu.points)
        found = solver.minimise(problem, coupling, start, memory)
        steps += 1
        if not found.status.ok:
            status = found.status
            break
        before = value, residual
        mu, at = mu.moved(found.point.x), found.point.energy
        value, residual = float(at.value), stationarity(energy, mu).mean
        still = 0 if value < before[0] or residual < 0.5 * before[1] else still + 1
        tau, memory = GROWTH * tau, found.memory
    return BestParticles(mu, value, residual, np.array([value]), steps, status)
