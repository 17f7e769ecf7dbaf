"""``MeshNewton``: the step of a pair on the line in D, by Newton's method on the nodes and their charges."""

from __future__ import annotations

from dataclasses import dataclass

from jko import checks
from jko.energies import Congestion, refuse, sorted_terms
from jko.measures import ChargedMesh
from jko.shown import Shown
from jko.steps.line.descent import minimise
from jko.steps.line.nodes import Nodes
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult
from jko.steps.solver import Sharpened


@dataclass(frozen=True)
class MeshNewton(Sharpened, Shown):
    """Newton's method for a :class:`jko.ChargedMesh`: a step in D with internal energies of rho.

    ``min over (theta, H) of  E + sum_i M_i (|theta_i - theta_i^k|^2 + |H_i - H_i^k|^2) / (2 tau)``

    with the nodes in their order, so that rho has the density ``m_c / (theta_{c+1} - theta_c)`` between them.  Each
    iteration solves a banded system, with one more column for each data point of a risk; where the solution would
    crush cells, chords of the pressure take the place of its tangents, and where it would exchange nodes all the same
    it minimises the quadratic model with the nodes in order.  No cell loses more than 0.9 of its width in an iteration.
    Where far nodes act on each other (interactions) conjugate gradients solve it, with the banded part as
    preconditioner.

    Parameters
    ----------
    tol
        Residual at which to stop; default None: ``1e-8 D(new, old) / tau``.  Never below what rounding allows.
    max_iterations
        Of Newton's method.

    Notes
    -----
    As tau -> 0 the steps converge to (3.23), with an entropy to its gradient flow in D: H is carried by
    ``-c grad U'(rho)`` too (Remark 4.1 read literally leaves it behind, and may raise the energy).

    ``cost`` is that of the index coupling, at least D^2.  On the line a *flow* of nodes keeps their order, while the
    optimal plan of D may exchange nodes: ``coupling`` says whether this one is optimal, and the ledger
    ``E_{k+1} + cost / (2 tau) <= E_k`` holds in any case.

    Where the minimum would fold the mesh (two nodes meet with different H) the step ends with ``NOT_A_GRAPH``: go on
    with its lift, or lower tau.

    Source: survey Remark 3.4, Remark 4.1.

    Raises
    ------
    TypeError
        From ``step``, on a state that is not a :class:`jko.ChargedMesh`.
    ValueError
        From ``step``, for an internal energy with a negative coefficient, and for congestion.

    Examples
    --------
    >>> import jko
    >>> start = jko.ChargedMesh.from_function(
    ...     lambda x: (-0.5 * x[:, 0] ** 2).exp(), lambda x: 1 + x[:, 0], (-7.0, 7.0), 200
    ... )
    >>> E = 0.8 * jko.SquaredNorm() + 0.5 * jko.Entropy()
    >>> new = jko.step(E, start, tau=0.1).state
    >>> float((new.H - (1 + start.theta) / 1.08).abs().max()) < 1e-12
    True
    """

    tol: float | None = None
    max_iterations: int = 100

    def __post_init__(self) -> None:
        if self.tol is not None:
            checks.number("tol", self.tol, above=0)
        checks.count("max_iterations", self.max_iterations)

    def solve(self, problem: StepProblem) -> StepResult:
        """Minimise over nodes and charges."""
        mesh = checks.kind(
            "the state of MeshNewton",
            problem.previous,
            ChargedMesh,
            hint="build it by jko.ChargedMesh.from_function; atoms have jko.LBFGS(), cells jko.steps.Remapped()",
        )
        refuse(
            sorted_terms(problem.energy).of(Congestion),
            "{energy} on a mesh of pairs: MeshNewton has no limit of densities; take jko.Quantile() of a jko.LineMesh, "
            "or m * jko.PorousMedium(m) with m = 20",
        )
        return minimise(Nodes(problem, mesh), self.tol, self.max_iterations)
