"""``JKO``: training steps that minimise ``loss(p) + |p - p_k|^2 / (2 tau)``, each with what it proved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from jko import checks
from jko.optim.atom import Atom, ClosureLoss, detached
from jko.optim.ledger import LastStep
from jko.steps import LBFGS, Memory, StepFailed, StepProblem, StepResult
from jko.steps.memory import PAIRS, PRODUCTS
from jko.steps.result import judged

CLOSURE = (
    "JKO evaluates the loss several times in a step, so step() needs a closure: a function that computes the loss, "
    "calls loss.backward() and returns the loss; optimizer.step(closure)"
)
RANDOM = (
    "the closure returned another loss or gradient when it was called again at the same parameters. A JKO step "
    "minimises one function: draw the batch before the step, not in the closure; put dropout and other layers that "
    "draw at random in eval mode, or take them out, or call torch.manual_seed in the closure"
)


class JKO(Optimizer):
    """One JKO step of all parameters at each ``step(closure)``, monotone on the closure's data.

    ``p_{k+1}`` minimises ``loss(p) + sum_g |p_g - p_{k,g}|^2 / (2 tau_g)`` over the parameters p of all groups g,
    inexactly, by a few L-BFGS iterations (:meth:`jko.LBFGS.training`) whose curvature is kept from step to step.  It
    is :func:`jko.step` of one atom in R^P, in W2 or, where groups have different rates, in
    :class:`jko.metrics.ScaledWasserstein`.

    Parameters
    ----------
    params
        Parameters or groups of them, of one dtype (float32 or float64) and device.
    lr : float
        The time step tau of a group, >= 0; schedulers may change it.  There is no stability limit: a large one trains
        (each step then takes several iterations), a small one follows the gradient flow ``p' = -grad loss(p)``; with
        minibatches it is how far a step may go for one of them.  A group with 0 rests.
    neurons : int, optional
        N for parameters that are those of N neurons, of a network that is their *mean*: tau is then N times lr, so
        that ``|dp|^2 / (2 tau) = W2^2 / (2 lr)`` with W2 the distance of the measures ``1/N sum_i delta_{xi_i}`` (as
        long as each neuron's nearest is itself), and the steps are those of ``jko.flow(..., tau=lr)``.
    solver : LBFGS, optional
        Default ``jko.LBFGS.training()``; ``jko.LBFGS(tol=1e-8)`` makes exact steps.  It keeps 2 x ``history`` vectors
        of the parameters' size.

    Attributes
    ----------
    last : LastStep
        What the last step proved: its slack, residual and evaluations.

    Raises
    ------
    StepFailed
        From ``step``: the loss is not finite, or falls without end.  The parameters are then those before the step.
    TypeError, ValueError
        No closure; a closure that returns no number, leaves no gradient, or is not deterministic.

    Notes
    -----
    ``step`` returns the loss before the step, as torch's own optimisers do; ``last.loss`` is that after it.  The first
    step calls the closure once more, to see whether it returns the same again.  Between steps the data may change
    (minibatches): a step falls on what its own closure sees, and curvature of other data is dropped.  Batch
    normalisation sees each evaluation in its running averages.  In several processes every one must return the same
    loss.

    A step evaluates the loss where it begins, and after each move, so small steps are dear: on full batches of small
    networks a large ``lr`` takes as many evaluations as torch's L-BFGS with its line search, and fewer than Adam.

    Examples
    --------
    >>> import jko, torch
    >>> p = torch.nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    >>> optimizer = jko.optim.JKO([p], lr=1.0, solver=jko.LBFGS(tol=1e-12))
    >>> def closure():
    ...     loss = 0.5 * (p**2).sum()
    ...     loss.backward()
    ...     return loss
    >>> float(optimizer.step(closure)), round(p.item(), 12)
    (2.0, 1.0)
    >>> optimizer.last.slack >= 0
    True
    """

    def __init__(
        self,
        params: Any,
        lr: float | Tensor = 1000.0,
        *,
        neurons: int | None = None,
        solver: LBFGS | None = None,
    ) -> None:
        self.solver = checks.kind("solver", LBFGS.training() if solver is None else solver, LBFGS)
        super().__init__(params, {"lr": lr, "neurons": neurons})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; it may have ``lr`` and ``neurons`` of its own."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        checks.number("lr", group["lr"], least=0)
        if group["neurons"] is not None:
            checks.count("neurons", group["neurons"])
        kinds = {(p.dtype, str(p.device)) for g in self.param_groups for p in g["params"]}
        if len(kinds) > 1 or not {dtype for dtype, _ in kinds} <= {torch.float32, torch.float64}:
            raise TypeError(
                "the parameters must be float32 or float64, all of one dtype on one device, since they are one atom; "
                f"got {', '.join(sorted(f'{dtype} on {device}' for dtype, device in kinds))}: "
                "module.to(device, dtype) makes them alike"
            )

    @property
    def last(self) -> LastStep:
        """What the last step proved; numbers that are not, before there was one."""
        return LastStep(**self._state.get("last", {}))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step.

        Parameters
        ----------
        closure : callable
            Computes the loss, calls ``backward()`` and returns the loss: the same at the same parameters.  It need not
            clear gradients.

        Returns
        -------
        Tensor
            The loss before the step, as the closure returned it, detached.
        """
        if closure is None:
            raise TypeError(CLOSURE)
        atom = Atom.of(self.param_groups)
        if not atom.parameters:
            with torch.enable_grad():
                return detached(closure())
        loss = ClosureLoss(closure, atom)
        start = atom.here
        try:
            with torch.inference_mode(False):
                result = self._advance(loss, atom)
        except BaseException:
            atom.place(start.points)
            raise
        end = result.state.atoms.points
        atom.place(end)
        atom.leave(result.memory["gradient"])
        state = self._state
        state["step"] = state.get("step", 0) + 1
        state["last"] = LastStep.of(result, loss.count).numbers()
        state["memory"], state["scales"] = dict(result.memory), atom.scales
        return loss.first

    def state_dict(self) -> dict[str, Any]:
        """As torch has it, with the curvature on its own."""
        found = super().state_dict()
        for key, state in found["state"].items():
            memory = {name: t.clone() for name, t in state.get("memory", {}).items()}
            found["state"][key] = {**state, "memory": memory}
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "solver": self.solver}

    @property
    def _state(self) -> dict[str, Any]:
        """Of the optimiser as a whole, with the first parameter, as torch's LBFGS has it."""
        return self.state[self.param_groups[0]["params"][0]]

    def _advance(self, loss: ClosureLoss, atom: Atom) -> StepResult:
        """The step from where the parameters are; judged as every step is."""
        memory = self._remembered(atom)
        first = not memory
        if first:
            memory = loss.evaluate(atom.here)._asdict()
        problem = StepProblem(loss, atom.metric, atom.here, atom.tau, memory)
        if first and not problem.memory and bool(torch.isfinite(memory["value"])):
            raise ValueError(RANDOM)
        result = judged(self.solver.solve(problem))
        if not result.status.ok:
            failure = StepFailed(result.status, result)
            failure.add_note("tau is lr, times neurons; the parameters are those before the step")
            raise failure
        return result

    def _remembered(self, atom: Atom) -> Memory:
        """What the last step has left, its slopes in the inner product of this one's metric."""
        state = self._state
        memory, known, now = state.get("memory", {}), state.get("scales", []), atom.scales
        if PAIRS not in memory or known == now or len(known) != len(now):
            return memory
        pairs = memory[PAIRS].clone()
        pairs[:, 1] *= atom.repeated(a / b for a, b in zip(known, now, strict=True))
        rest = {name: t for name, t in memory.items() if name != PRODUCTS}
        return rest | {PAIRS: pairs}
