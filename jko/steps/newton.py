"""``BlockNewton``: (semismooth) Newton in L2(mu_k), for tight tolerances.

The Hessian of the objective at T is a block for each atom plus a low-rank part, one column for each data point:

``(Hess v)_i = (B_i + 1/tau) v_i + sum_m J_im int J_m . v dmu``,    B_i = Hess <r, Phi>(T_i) + Hess V(T_i)

so that one Newton step costs N small solves and an M x M system (Woodbury), or Krylov iterations when M is large or
the energy has a part that is not low-rank.  With a domain, Newton is applied to the fixed-point equation
``T = P(T - tau g(T))``: with P' the derivative of the projection, its Jacobian is ``I + tau P' (B + J J^T)``, which
without a domain (P' = 1) is tau times the Hessian.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from jko import checks
from jko.derivatives import leaf, recording, slope
from jko.energies import Curvature
from jko.measures import Particles
from jko.numerics.blocks import descending
from jko.numerics.krylov import gmres
from jko.shown import Shown
from jko.spaces import Domain
from jko.steps.descent import descend
from jko.steps.lagrangian import Minimised, solve_lagrangian
from jko.steps.linesearch import Point
from jko.steps.memory import Memory
from jko.steps.penalty import Penalty
from jko.steps.problem import Form, StepProblem
from jko.steps.result import StepResult
from jko.steps.solver import Sharpened

STRAIGHT = 1e-12  # times 1 / tau: the curvature that a straight line is given
WOODBURY = 3000  # data points up to which the M x M system is factorised


@dataclass(frozen=True)
class BlockNewton(Sharpened, Shown):
    """Newton with exact second derivatives, quadratically convergent; the minimiser to choose for residuals of 1e-12.

    Parameters
    ----------
    tol
        Residual in L2(mu_k) at which to stop; default None: ``1e-8 |T - id| / tau``.
    max_iterations
        In one minimisation.
    examine
        Whether a step proves its coupling optimal, as for :class:`jko.LBFGS`.

    Notes
    -----
    Where a block ``B_i + 1/tau`` is not positive definite (tau large: the step is not convex in the positions) its
    negative eigenvalues change sign, so that the direction descends.

    Of the metrics it takes those of a coupling: the natural one and :class:`jko.metrics.ScaledWasserstein`.

    Raises
    ------
    TypeError
        From ``step``, if a domain's projection cannot be differentiated by torch.

    Examples
    --------
    >>> import jko
    >>> E = jko.Potential(lambda xi: (xi**4).sum(-1))
    >>> jko.step(E, jko.Particles([[1.0]]), tau=1.0, solver=jko.BlockNewton()).residual < 1e-8
    True
    """

    tol: float | None = None
    max_iterations: int = 100
    examine: bool = True
    forms: ClassVar = frozenset({Form.NATURAL, Form.SCALED})
    seams: ClassVar = True

    def __post_init__(self) -> None:
        if self.tol is not None:
            checks.number("tol", self.tol, above=0)
        checks.count("max_iterations", self.max_iterations)
        checks.kind("examine", self.examine, bool)

    def solve(self, problem: StepProblem) -> StepResult:
        """Minimise, certify the coupling, relabel or re-plan where it is not optimal; not if it is not examined."""
        return solve_lagrangian(problem, self.minimise, examine=self.examine)

    def minimise(
        self, problem: StepProblem, penalty: Penalty, point: Point, memory: Memory
    ) -> Minimised:
        """One minimisation with the penalty fixed."""
        return descend(
            problem,
            penalty,
            point,
            SecondOrder(problem),
            tol=self.tol,
            fraction=1e-8,
            max_iterations=self.max_iterations,
        )


@dataclass(frozen=True, eq=False)
class SecondOrder:
    """Exact curvature at every point: nothing to learn, nothing to forget."""

    problem: StepProblem

    def see(self, point: Point, r: Tensor) -> float:
        """The norm of the residual."""
        return self.problem.norm(r)

    def direction(self, point: Point, r: Tensor) -> Tensor:
        """Newton's move."""
        return newton_direction(self.problem, point, r)

    def forget(self) -> bool:
        """Nothing was learned."""
        return False

    @property
    def memory(self) -> Memory:
        """Empty."""
        return {}

    @property
    def figures(self) -> dict[str, float | str]:
        """None."""
        return {}


def newton_direction(problem: StepProblem, point: Point, r: Tensor) -> Tensor:
    """Solve ``(I + tau P' (B + J J^T + C)) d = -tau r``, in coordinates in which the metric is W2."""
    mu, tau = problem.base.moved(point.x), problem.tau
    curvature = problem.energy.second_order(mu)
    slope = projection_slope(mu.domain, point.x - tau * point.gradient)
    if problem.scales is None:
        return NewtonSystem(mu, tau, curvature, slope).solve(-tau * r)
    root = problem.scales.sqrt()  # of a box the slope is diagonal; elsewhere the scales are equal
    return NewtonSystem(mu, tau, stretched(curvature, root), slope).solve(-tau * r * root) / root


def stretched(curvature: Curvature, root: Tensor) -> Curvature:
    """The curvature in the coordinates ``root xi``."""
    blocks, factor, cross = curvature
    return Curvature(
        blocks / (root[:, None] * root),
        None if factor is None else factor / root[:, None],
        None if cross is None else lambda v: cross(v / root) / root,
    )


@dataclass(frozen=True, eq=False)
class NewtonSystem:
    """``(I + tau P' (B + J J^T + C)) d = right`` on vector fields (N, dim), the negative curvature of B turned.

    ``slope`` is P' (N, dim, dim), the derivative of the projection; None: the identity.
    """

    mu: Particles
    tau: float
    curvature: Curvature
    slope: Tensor | None

    @cached_property
    def near(self) -> Tensor:
        """tau P' B, (N, dim, dim)."""
        B, tau = self.curvature.blocks, self.tau
        eye = torch.eye(self.mu.dim, dtype=B.dtype, device=B.device)
        turned = tau * descending(B + eye / tau, STRAIGHT / tau) - eye
        return turned if self.slope is None else self.slope @ turned

    @cached_property
    def factors(self) -> tuple[Tensor, Tensor]:
        """The blocks ``I + tau P' B``, factorised."""
        eye = torch.eye(self.mu.dim, dtype=self.near.dtype, device=self.near.device)
        return torch.linalg.lu_factor(eye + self.near)

    def precondition(self, v: Tensor) -> Tensor:
        """``(I + tau P' B)^{-1} v``, for fields (N, dim, k)."""
        return torch.linalg.lu_solve(*self.factors, v)

    def scaled(self, v: Tensor) -> Tensor:
        """``tau P' v``."""
        return self.tau * v if self.slope is None else self.tau * (self.slope @ v)

    def apply(self, v: Tensor) -> Tensor:
        """The whole operator on a field (N, dim, 1)."""
        J, cross, far = self.curvature.factor, self.curvature.cross, torch.zeros_like(v)
        if J is not None:
            far = (J @ self.mu.integrate((J * v).sum(1)))[:, :, None]
        if cross is not None:
            far = far + cross(v[:, :, 0])[:, :, None]
        return v + self.near @ v + self.scaled(far)

    def solve(self, right: Tensor) -> Tensor:
        """By the blocks and Woodbury's formula where the rest is of low rank, else by GMRES."""
        J, d = self.curvature.factor, self.precondition(right[:, :, None])
        if self.curvature.cross is not None or (J is not None and J.shape[2] > WOODBURY):
            return self._iterated(d)
        if J is not None:  # (1 + int J^T D^-1 tau P' J) c = int J^T D^-1 right
            spread = self.precondition(self.scaled(J))
            system = self.mu.products(J.permute(2, 0, 1), spread.permute(2, 0, 1))
            system.diagonal().add_(1)
            c = torch.linalg.solve(system, self.mu.integrate((J * d).sum(1)))
            d = d - (spread @ c)[:, :, None]
        return d[:, :, 0]

    def _iterated(self, target: Tensor) -> Tensor:
        """GMRES in L2(mu), preconditioned by the blocks, to the right side ``target`` (N, dim, 1)."""

        def product(v: Tensor) -> Tensor:
            return self.precondition(self.apply(v[:, :, None]))[:, :, 0]

        return gmres(product, target[:, :, 0], self.mu.products, 1e-10)


def projection_slope(domain: Domain | None, z: Tensor) -> Tensor | None:
    """The derivative of the projection at each point, (N, dim, dim); None without a domain."""
    if domain is None:
        return None
    with recording():
        z = leaf(z)
        p = domain.project(z)
        if not p.requires_grad:
            raise TypeError(
                f"the projection of {domain!r} cannot be differentiated by torch, which BlockNewton needs; write it "
                "with torch operations, or use jko.LBFGS(tol=...)"
            )
        rows = [slope(p[:, k].sum(), z, retain=True) for k in range(z.shape[1])]
    return torch.stack(rows, dim=1)
