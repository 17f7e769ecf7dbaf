"""The derivative of a step in all that it was made of: data, weights, base point, parameters of the energy, tau.

The value ``min over mu of E(mu) + W2^2(mu, mu_k) / (2 tau)`` changes as if mu were held: the envelope theorem.  For the
minimiser see :mod:`jko.steps.implicit`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import leaf, recording, slope
from jko.energies import Energy
from jko.measures import ChargedSpan, GridDensity, OnCells, Particles, State
from jko.metrics import Metric
from jko.spaces import refuse_wrapped
from jko.steps.implicit import minimiser
from jko.steps.lbfgs import LBFGS
from jko.steps.memory import Memory
from jko.steps.natural import natural_solver
from jko.steps.newton import BlockNewton
from jko.steps.problem import Form
from jko.steps.result import Falls, StepResult
from jko.steps.solver import Solver
from jko.steps.step import step

SOLVED = 1e-3  # of the length of a step, the largest residual of a minimiser that is differentiated
TIGHT = 1e-6  # of its length, the residual of a step by default, where Newton's method does not know the metric


@dataclass(frozen=True, eq=False)
class DifferentiableStep:
    """A step in torch's record.

    Attributes
    ----------
    value : Tensor ()
        ``min over mu of E(mu) + metric(mu, mu_k)^2 / (2 tau)``, once differentiable.
    result : StepResult
        The step as :func:`jko.step` gives it, in numbers.
    """

    value: Tensor
    result: StepResult
    minimiser: State | str

    @property
    def state(self) -> State:
        """mu_{k+1}, whose points are once differentiable.

        Raises
        ------
        TypeError
            A step of which no derivative of the minimiser is known, such as that of a density.
        """
        if isinstance(self.minimiser, str):
            raise TypeError(f"{self.minimiser}; the minimiser in numbers is .result.state")
        return self.minimiser


def differentiable_step(
    energy: Energy,
    state: State,
    *,
    tau: float | Tensor,
    metric: Metric | None = None,
    solver: Solver | None = None,
    memory: Memory | None = None,
) -> DifferentiableStep:
    """One JKO step whose value and minimiser torch can differentiate in whatever they were made of.

    Parameters
    ----------
    energy : Energy
        F or G; gradients reach its data (:class:`jko.Data`), and what its functions read: the centre of a potential.
    state : State
        The base point; gradients reach points, charges and weights that it was built from.
    tau : float or Tensor
        The time step, > 0.
    metric, solver, memory
        As in :func:`jko.step`; the default for atoms is :class:`jko.BlockNewton`, since a derivative is as exact as the
        step.  For wide networks ``solver=jko.LBFGS(fraction=1e-6)`` takes far less time.

    Returns
    -------
    DifferentiableStep
        ``value`` and ``state``, for ``loss(step.state).backward()``, and the ``result`` in numbers.  States can be
        stepped again: so a loss of the end of a flow is differentiated through all its steps.

    Raises
    ------
    StepFailed
        As :func:`jko.step`.
    TypeError
        A base point that requires gradients where none are known: of a density, or of atoms that lie in several
        processes.
    ValueError
        A step that was not solved to a thousandth of its length; atoms whose mass the optimal plan splits.  From
        ``backward``: a Hessian that is singular at the minimiser.

    Notes
    -----
    By the envelope theorem, and by the implicit function theorem: no iteration is differentiated, and a pass backward
    costs one linear system with the Hessian ``energy.second_order``, by Woodbury's formula or by GMRES.  What is not
    unique has no derivative: where the optimal coupling changes, or at a kink of the energy, this is one of several.
    The value is differentiable in the energy and in tau for densities and meshes too.

    Derivatives of a value in the weights are along changes of total zero.  An activation whose ``gradient=`` was given
    is known in the neurons alone: no gradient reaches x.

    Examples
    --------
    The centre of a potential, learned from one observed step:

    >>> import jko, torch
    >>> before = jko.Particles([[0.0, 1.0], [2.0, -1.0], [1.0, 0.5]])
    >>> seen = jko.Particles(
    ...     [[0.5, 1.5], [1.5, 0.5], [1.0, 1.25]]
    ... )  # x -> (x + c) / 2 with c = (1, 2)
    >>> c = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    >>> pull = jko.Potential(lambda x: 0.5 * (x - c).square().sum(-1))
    >>> descent = torch.optim.SGD([c], lr=2.0)
    >>> for _ in range(20):
    ...     descent.zero_grad()
    ...     step = jko.steps.differentiable_step(pull, before, tau=1.0)
    ...     jko.metrics.squared_distance(step.state, seen).backward()
    ...     descent.step()
    >>> [round(v, 6) for v in c.tolist()]
    [1.0, 2.0]
    """
    length = checks.number("tau", tau, above=0)
    checks.kind("the state", state, State, hint="build it by jko.Particles(points)")
    if solver is None and isinstance(natural_solver(state), LBFGS):
        own = (
            metric is not None and checks.kind("metric", metric, Metric).factors(state.dim) is None
        )
        solver = LBFGS(fraction=TIGHT) if own else BlockNewton()
    result = step(energy, state, tau=length, metric=metric, solver=solver, memory=memory)
    _refuse_no_minimiser(result)
    if isinstance(state, OnCells) or type(state).placed is State.placed:
        return _of_cells(energy, state, tau, result)
    return _of_atoms(energy, state, tau, result)


def _refuse_no_minimiser(result: StepResult) -> None:
    """A step that minimises another functional, or one after the other, or was put back on a grid."""
    state = result.problem.previous
    known = isinstance(state, GridDensity) or result.falls is Falls.OBJECTIVE
    if result.falls is Falls.NEITHER or isinstance(state, ChargedSpan) or not known:
        raise TypeError(
            f"this step of a {type(state).__name__} does not minimise E + metric^2 / (2 tau), and no derivative of it "
            "is known; take particles, state.to_particles()"
        )


def _of_cells(
    energy: Energy, state: State, tau: float | Tensor, result: StepResult
) -> DifferentiableStep:
    """The value alone, in the energy and in tau."""
    kind = type(state).__name__
    if state.requires_grad:
        raise TypeError(
            f"the derivative of a step of a {kind} in its base point is not known; pass state.detach(), or take "
            "state.to_particles()"
        )
    value = energy(result.state) + result.cost / (2 * tau)
    return DifferentiableStep(
        value, result, f"the minimiser of a step of a {kind} has no derivative"
    )


def _of_atoms(
    energy: Energy, state: State, tau: float | Tensor, result: StepResult
) -> DifferentiableStep:
    """Both, of a map T of the atoms."""
    problem, base, T = result.problem, state.atoms, result.state.atoms.points
    base.refuse_part("the derivative of a step")
    refuse_wrapped("the derivative of a step", base.domain)
    value, gradient = _recorded(energy, base, T)
    if problem.form is Form.OWN_COST:
        value = value + problem.metric.cost(state.placed(T), state) / (2 * tau)
        why = f"the minimiser of a step in {problem.metric!r} has no derivative here"
        return DifferentiableStep(value, result, f"{why}, which needs the metric's second one")
    _refuse_split(result)
    scales = T.new_ones(()) if problem.scales is None else problem.scales
    value = value + base.integrate(scales * (T - base.points) ** 2).sum() / (2 * tau)
    z = base.points - tau * gradient / scales
    if not z.requires_grad:
        return DifferentiableStep(value, result, result.state)
    _refuse_unsolved(result)
    points = minimiser(problem, T, z)
    return DifferentiableStep(value, result, state.placed(points))


def _recorded(energy: Energy, base: Particles, T: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient of the energy at T_# mu_k, in the record of what energy and weights are made of; T is held."""
    wanted = torch.is_grad_enabled()
    with recording():
        x = leaf(T)
        value = energy(base.moved(x))
        learned = wanted and _reads_more(value, x)
        gradient = slope(value, x, retain=True, create=learned) / base.weights[:, None]
    if learned:
        return value, gradient
    return value.detach(), gradient.detach()


def _reads_more(value: Tensor, x: Tensor) -> bool:
    """Whether torch's record of a value begins at other leaves than x."""
    seen, ahead = set[Any](), [value.grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and variable is not x:
            return True
        ahead += [following for following, _ in node.next_functions]
    return False


def _refuse_split(result: StepResult) -> None:
    """A step along a plan that no map gives."""
    problem, after = result.problem, result.state.atoms
    same = torch.equal(after.weights, problem.base.weights)
    cost = problem.square(after.points - problem.base.points) if same else math.inf
    if abs(cost - result.cost) > SOLVED * result.cost:
        raise ValueError(
            f"the optimal plan of this step splits the mass of atoms (its cost is {result.cost:.6g}, that of moving "
            f"each atom as a whole {cost:.6g}), and its derivative is not known; take a smaller tau, or equal weights"
        )


def _refuse_unsolved(result: StepResult) -> None:
    """A minimiser that is none yet has no derivative."""
    problem, T = result.problem, result.state.atoms.points
    eps = torch.finfo(T.dtype).eps
    length = problem.norm(T - problem.base.points)
    error = problem.tau * result.residual
    if not error <= SOLVED * length + 64 * eps * (problem.size + length):
        raise ValueError(
            f"the step was solved up to {error / length:.1e} of its length, and its derivative would be as wrong; at "
            "most 1e-3 will do: take solver=jko.BlockNewton(), or jko.LBFGS(fraction=1e-6)"
        )
