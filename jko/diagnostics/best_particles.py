"""N-atom minimisers: the least energy that N neurons reach, section 2.2.1 (i)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko import checks
from jko.deprecation import renamed
from jko.diagnostics.dissipation import speed
from jko.energies import Energy, value_of
from jko.measures import ChargedParticles, Particles
from jko.measures.tensors import on_numbers
from jko.metrics import Wasserstein
from jko.shown import Shown
from jko.spaces import projected
from jko.status import Status
from jko.steps.lbfgs import LBFGS
from jko.steps.memory import Memory
from jko.steps.penalty import Coupling
from jko.steps.problem import StepProblem

GROWTH = 4.0  # of tau from step to step
PARTING = 1e-2  # of an atom's size: how far its copies part
STILL = 3  # steps in a row that lower neither the energy nor the residual


Atoms = Particles | ChargedParticles


@renamed(steps="iterations")
@dataclass(frozen=True, eq=False)
class BestParticles(Shown):
    """The best of the local minimisers of an energy that some starts lead to.

    Attributes
    ----------
    state : Particles or ChargedParticles
        Its atoms, of the kind of the start.
    energy : float
        F there, an upper bound of min F_N.
    residual : float
        Root mean square of ``|grad dF/dmu|`` on the atoms, :func:`jko.diagnostics.speed`; its own, not the
        worst.
    energies : (K,)
        Where each start ended, in the order given, those made from ``warm`` last: how far they agree tells how far to
        trust the best.
    iterations : int
        Proximal steps, of all starts together.
    status : Status
        CONVERGED; STALLED (a kink, or rounding), MAX_ITERATIONS, or what ended a step.

    Examples
    --------
    >>> import jko
    >>> wells = jko.Potential(lambda x: ((x**2 - 1) ** 2).sum(-1))
    >>> found = jko.diagnostics.best_particles(wells, jko.Particles([[0.3]]))
    >>> found.energy < 1e-8, found.status.name
    (True, 'CONVERGED')
    """

    state: Atoms
    energy: float
    residual: float
    energies: NDArray[np.float64] = field(repr=False)
    iterations: int
    status: Status

    def _facts(self) -> dict[str, object]:
        names = ("energy", "residual", "status", "iterations", "state", "energies")
        return {name: getattr(self, name) for name in names}

    def _picture(self) -> str:
        return self.state._picture()

    def __str__(self) -> str:
        agree = int((self.energies <= self.energy + 1e-9 * (1 + abs(self.energy))).sum())
        return (
            f"energy {self.energy:.10g}  residual {self.residual:.1e}  "
            f"({agree} of {len(self.energies)} starts; {self.status.name})"
        )


@renamed(max_steps="max_iterations")
@on_numbers
def best_particles(
    energy: Energy,
    starts: Atoms | Sequence[Atoms],
    *,
    warm: Atoms | BestParticles | None = None,
    tol: float = 1e-9,
    max_iterations: int = 40,
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
    starts : Particles or ChargedParticles, or sequence of them
        Where to begin; the number of atoms and their weights are kept, and may differ from start to start.  A pair
        (rho, H) is read as its lift, so that the energy is G.
    warm : Particles, ChargedParticles or BestParticles, optional
        A result for fewer atoms, whose number divides that of the starts.  Its atoms are repeated, which is the same
        measure, and the search begins from there too: so the energy found is not above that of ``warm``, beyond
        rounding.  Where the Hessian of dF/dmu at an atom has a negative eigenvalue, parting its copies along that
        eigenvector lowers F, and the search begins from there once more.
    tol
        Stop when ``|grad dF/dmu|`` in L2(mu) is below ``tol`` times its size at the start.
    max_iterations
        Proximal steps from one start.

    Returns
    -------
    BestParticles
        Unconverged results say so in ``status``; an energy with kinks (ReLU) has minima where no gradient vanishes, and
        ends STALLED.

    Raises
    ------
    ValueError
        If there is no start, or an energy at a start is not finite; if the atoms of ``warm`` cannot be repeated to
        those of the starts.
    TypeError
        If a start is no cloud of atoms.

    Notes
    -----
    Source: survey 2.2.1 (i): ``min F_N - min F <= C/N``.  As doubling the atoms shows, ``min F_2N <= min F_N``; a
    search from random starts alone may end the other way round, with ``warm`` it cannot.

    Examples
    --------
    >>> import jko, torch
    >>> E = jko.Interaction(lambda z: (0.5 * z**2 - z.abs())[:, 0])  # N atoms end evenly spaced
    >>> best = jko.diagnostics.best_particles(E, jko.Particles([[0.3], [0.1], [0.9], [-0.4]]))
    >>> gaps = best.state.points[:, 0].sort().values.diff()
    >>> [round(float(gap), 8) for gap in gaps]
    [0.5, 0.5, 0.5]

    How much fewer atoms cost, with proof: a lower bound of F over all measures.

    >>> data = jko.Data([[-1.0], [0.5], [1.0]], [0.5, 0.2, -0.7])
    >>> F = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 0.1 * jko.SquaredNorm()
    >>> random = torch.Generator().manual_seed(0)
    >>> starts = [jko.Particles.normal(2, 3, generator=random) for _ in range(4)]
    >>> best = jko.diagnostics.best_particles(F, starts)
    >>> bound = jko.optimality(F, best.state).lower_bound
    >>> bound <= best.energy
    True
    """
    checks.kind("energy", energy, Energy)
    checks.number("tol", tol, above=0)
    checks.count("max_iterations", max_iterations)
    clouds = [starts] if isinstance(starts, Atoms) else _listed(starts)
    if not clouds:
        raise ValueError("no start: give jko.Particles, or a list of them")
    for k, state in enumerate(clouds):
        checks.kind(f"starts[{k}]", state, Particles, ChargedParticles)
    if warm is not None:
        found = warm.state if isinstance(warm, BestParticles) else warm
        checks.kind(
            "warm",
            found,
            Particles,
            ChargedParticles,
            hint="what best_particles gave for fewer atoms",
        )
        clouds += _repeated(energy, found, clouds[0])
    for k, state in enumerate(clouds):
        if not math.isfinite(value_of(energy, state)):
            raise ValueError(f"the energy of starts[{k}] is not finite; begin where it is")
    ends = [_descend(energy, state.atoms, tol, max_iterations) for state in clouds]
    best = min(range(len(ends)), key=lambda k: ends[k].energy)
    return replace(
        ends[best],
        state=clouds[best].placed(ends[best].state.atoms.points),
        energies=np.array([end.energy for end in ends]),
        iterations=sum(end.iterations for end in ends),
    )


def _listed(starts: Sequence[Atoms]) -> list[Atoms]:
    if isinstance(starts, Sequence):
        return list(starts)
    raise TypeError(
        f"starts must be jko.Particles, jko.ChargedParticles or a list of them, not {type(starts).__name__}"
    )


def _repeated(energy: Energy, found: Atoms, like: Atoms) -> list[Atoms]:
    """``found`` with each atom repeated to the number of atoms of ``like``, and once more with the copies parted."""
    small, N = found.atoms, like.atoms.N
    if N % small.N:
        raise ValueError(
            f"warm has {small.N} atoms and the starts have {N}; copies of its atoms must make up theirs, so take a "
            f"multiple of {small.N}"
        )
    if small.dim != like.atoms.dim:
        raise ValueError(
            f"warm has dimension {small.dim} and the starts have {like.atoms.dim}; take it from the same problem"
        )
    copies = N // small.N
    mu = small.points.repeat_interleave(copies, 0)
    weights = (small.weights / copies).repeat_interleave(copies)
    pairs = isinstance(found, ChargedParticles)

    def state(points: Tensor) -> Atoms:
        if pairs:
            return ChargedParticles(points[:, 1:], points[:, 0], weights, found.domain)
        return Particles(points, weights, found.domain)

    try:
        lowest, vectors = torch.linalg.eigh(energy.hessian(small))
    except (RuntimeError, TypeError, ValueError):  # a gradient that cannot be differentiated
        return [state(mu)]
    if copies == 1 or not bool((lowest[:, 0] < 0).any()):
        return [state(mu)]
    reach = PARTING * (1 + small.points.norm(dim=1))
    move = torch.where(lowest[:, 0] < 0, reach, 0.0)[:, None] * vectors[:, :, 0]
    sides = torch.linspace(-1, 1, copies).to(mu)  # their mean is zero: the first order cancels
    parted = mu + sides.repeat(small.N)[:, None] * move.repeat_interleave(copies, 0)
    return [state(mu), state(projected(parted, small.domain))]


def _descend(energy: Energy, mu: Particles, tol: float, max_iterations: int) -> BestParticles:
    """The proximal point method with a growing tau; each atom keeps its partner, so nothing is to be transported."""
    at, memory = energy.evaluate(mu), Memory()
    value, residual = float(at.value), speed(energy, mu).mean
    allowed = tol * residual
    tau = 2 * abs(value) / residual**2 if value and residual else 1.0  # Polyak's length
    still = iterations = 0
    status = Status.CONVERGED
    while residual > allowed:
        if still == STILL:
            status = Status.STALLED
            break
        if iterations == max_iterations:
            status = Status.MAX_ITERATIONS
            break
        memory |= at._asdict()
        problem, coupling = StepProblem(energy, Wasserstein(), mu, tau, memory), Coupling(mu.points)
        # where values tell points apart no more, slopes do
        solver = LBFGS(tol=0.5 * allowed) if still else LBFGS()
        found = solver.minimise(problem, coupling, coupling.start(problem, mu.points), memory)
        iterations += 1
        if not found.status.ok:
            status = found.status
            break
        before = value, residual
        mu, at = mu.moved(found.point.x), found.point.energy
        value, residual = float(at.value), speed(energy, mu).mean
        still = 0 if value < before[0] or residual < 0.5 * before[1] else still + 1
        tau, memory = GROWTH * tau, found.memory
    return BestParticles(mu, value, residual, np.array([value]), iterations, status)
