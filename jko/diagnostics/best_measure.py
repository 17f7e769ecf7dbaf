"""The minimum of an energy over all measures, from atoms: global training, with its gap."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from jko.diagnostics.optimality import optimality
from jko.duality import Gap
from jko.energies import Energy, value_of
from jko.measures import ChargedParticles, Particles
from jko.shown import Shown
from jko.status import Status
from jko.steps import FrankWolfe
from jko.steps.frankwolfe.pieces import Portions, Sources
from jko.steps.frankwolfe.rounds import Round, Rounds
from jko.steps.frankwolfe.solver import refuse_unfit


@dataclass(frozen=True, eq=False)
class BestMeasure(Shown):
    """The best measure found, and how far it is from the minimum over all measures.

    Attributes
    ----------
    state : Particles or ChargedParticles
        Finitely many atoms, of the kind of the start where they are a graph over theta; their weights are found, too.
    energy : float
        F there.
    certificate : Gap
        ``F - min F <= certificate.value``; ``rigorous`` where the inner minima were enclosed.
    status : Status
        CONVERGED: the gap is as small as was asked for.  STALLED: nothing lowered F any more.  MAX_ITERATIONS: rounds
        or time ran out; STOPPED, INTERRUPTED: somebody ended it.  The certificate says what its gap rests on.
    rounds : tuple of Round
        Energy, gap, number of atoms and seconds of each round, the first one of the start.

    Examples
    --------
    >>> import jko, torch
    >>> x = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None]
    >>> R = jko.Risk(jko.Data(x, torch.sin(3 * x[:, 0])), activation=jko.Ridge(torch.tanh))
    >>> mu = jko.Particles.normal(10, 3, generator=torch.Generator().manual_seed(0))
    >>> found = jko.minimiser(R + 0.01 * jko.SquaredNorm(), mu)
    >>> found.status.name, found.gap < 1e-9, len(found.rounds) > 1
    ('CONVERGED', True, True)
    """

    state: Particles | ChargedParticles
    energy: float
    certificate: Gap
    status: Status
    rounds: tuple[Round, ...] = field(repr=False)

    @property
    def gap(self) -> float:
        """``F - min F`` is at most this."""
        return self.certificate.value

    @property
    def iterations(self) -> int:
        """Rounds after that of the start."""
        return len(self.rounds) - 1

    @property
    def history(self) -> dict[str, NDArray[np.float64]]:
        """The rounds as columns: ``energies``, ``gaps``, ``atoms``, ``seconds``, (rounds,) each."""
        names = ("energies", "gaps", "atoms", "seconds")
        return dict(zip(names, np.array(self.rounds, dtype=float).T, strict=True))

    def _facts(self) -> dict[str, object]:
        facts = {"energy": self.energy, "gap": self.gap, "proved": self.certificate.rigorous}
        work = {"rounds": self.iterations, "seconds": self.rounds[-1].seconds}
        return facts | {"status": self.status, "atoms": len(self.state.weights)} | work

    def _picture(self) -> str:
        return self.state._picture()

    def __str__(self) -> str:
        return (
            f"energy {self.energy:.10g}  gap {self.gap:.2g}  {len(self.state.weights)} atoms  "
            f"({self.iterations} rounds, {self.rounds[-1].seconds:.2g} s; {self.status.name})"
        )


def best_measure(
    energy: Energy, start: Particles | ChargedParticles, solver: FrankWolfe
) -> BestMeasure:
    """The minimum of F over all measures: the step of ``solver`` with tau infinite, see :func:`jko.minimiser`.

    Raises
    ------
    ValueError
        For an energy that is not convex in the measure, or has nothing that keeps atoms from infinity.
    """
    mu = start.atoms
    refuse_unfit("minimiser", energy, mu.domain)
    value = value_of(energy, start)
    if not math.isfinite(value):
        raise ValueError("the energy of the start is not finite; begin where it is")
    held = mu.weights > 0
    anchor = torch.zeros_like(mu.points[:1])
    one = torch.ones_like(mu.weights[:1])
    sources = Sources(energy, anchor, one, 0.0, mu.domain)
    nowhere = torch.zeros(int(held.sum()), dtype=torch.long, device=mu.points.device)
    plan = Portions(mu.points[held], nowhere, mu.weights[held])
    envelope = sources.envelope(plan)
    if envelope.flat(envelope.minorant.residual):
        raise ValueError(
            "nothing in the energy keeps w from infinity, so a minimum over all measures need not exist; add "
            "0.01 * jko.SquaredNorm(), or give the start a domain, jko.Box(lower, upper)"
        )
    search = solver.searched(sources, plan, abs(value))
    try:
        status = search.run(solver.max_iterations, solver.seconds, solver.watch)
    except KeyboardInterrupt:
        if not search.rounds:
            raise
        status = Status.INTERRUPTED
    return _found(energy, start, search, status)


def _found(
    energy: Energy, start: Particles | ChargedParticles, search: Rounds, status: Status
) -> BestMeasure:
    mu = search.sources.measure(search.plan)
    state: Particles | ChargedParticles = mu
    if isinstance(start, ChargedParticles):
        try:
            state = ChargedParticles(mu.points[:, 1:], mu.points[:, 0], mu.weights, start.domain)
        except ValueError:  # two charges at one theta: no graph
            state = mu
    certificate = search.certificate
    if not math.isfinite(certificate.value):
        certificate = optimality(energy, mu)
        if status is Status.STALLED and certificate.value <= search.target:
            status = Status.CONVERGED
    return BestMeasure(state, value_of(energy, state), certificate, status, tuple(search.rounds))
