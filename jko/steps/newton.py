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

import numpy as np
import torch
from torch import Tensor

from jko import checks
from jko.derivatives import leaf, recording
from jko.energies import Curvature
from jko.numerics.blocks import descending
from jko.spaces import Domain
from jko.steps.descent import descend
from jko.steps.lagrangian import Coupling, Found, solve_lagrangian
from jko.steps.linesearch import Point
from jko.steps.memory import Memory
from jko.steps.problem import StepProblem
from jko.steps.result import StepResult

STRAIGHT = 1e-12  # times 1 / tau: the curvature that a straight line is given
WOODBURY = 3000  # data points up to which the M x M system is factorised


@dataclass(frozen=True)
class BlockNewton:
    """Newton with exact second derivatives, quadratically convergent; the minimiser to choose for residuals of 1e-12.

    Parameters
    ----------
    tol
        Residual in L2(mu_k) at which to stop; default None: ``1e-8 |T - id| / tau``.
    max_iterations
        In one minimisation.

    Notes
    -----
    Where a block ``B_i + 1/tau`` is not positive definite (tau large: the step is not convex in the positions) its
    negative eigenvalues change sign, so that the direction descends.

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

    def __post_init__(self) -> None:
        if self.tol is not None:
            checks.number("tol", self.tol, above=0)
        checks.count("max_iterations", self.max_iterations)

    def solve(self, problem: StepProblem) -> StepResult:
        """Minimise, certify the coupling, relabel or re-plan where it is not optimal."""
        return solve_lagrangian(problem, self.minimise)

    def minimise(
        self, problem: StepProblem, coupling: Coupling, point: Point, memory: Memory
    ) -> Found:
        """One minimisation with the coupling fixed."""
        return descend(
            problem,
            coupling,
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

    def direction(self, point: Point, r: Tensor) -> Tensor:
        """Newton's move."""
        return newton_direction(self.problem, point, r)

    def learn(self, old: Point, new: Point, r: Tensor) -> None:
        """Nothing."""

    def forget(self) -> bool:
        """Nothing was learned."""
        return False

    @property
    def memory(self) -> Memory:
        """Empty."""
        return {}


def newton_direction(problem: StepProblem, point: Point, r: Tensor) -> Tensor:
    """Solve ``(I + tau P' (B + J J^T + C)) d = -tau r``."""
    mu, tau = problem.base.moved(point.x), problem.tau
    curvature = problem.energy.second_order(mu)
    slope = projection_slope(mu.domain, point.x - tau * point.gradient)
    eye = torch.eye(mu.dim, dtype=r.dtype, device=r.device)
    blocks = (
        tau * descending(curvature.blocks + eye / tau, STRAIGHT / tau) - eye
    )  # tau B, with negative curvature turned
    D = torch.linalg.lu_factor(eye + (blocks if slope is None else slope @ blocks))

    def scale(v: Tensor) -> Tensor:
        """tau P' v, for fields (N, dim, k)."""
        return tau * v if slope is None else tau * (slope @ v)

    def solve_blocks(v: Tensor) -> Tensor:
        return torch.linalg.lu_solve(*D, v)

    right = -tau * r[:, :, None]
    factor = curvature.factor
    if curvature.cross is None and (factor is None or factor.shape[2] <= WOODBURY):
        d = solve_blocks(right)
        if factor is not None:  # Woodbury: (1 + int J^T D^-1 tau P' J) c = int J^T D^-1 right
            spread = solve_blocks(scale(factor))
            system = mu.integrate_blocks(lambda block: _gram(block.weights, factor, spread), mu.N)
            system.diagonal().add_(1)
            c = torch.linalg.solve(system, mu.integrate((factor * d).sum(1)))
            d = d - (spread @ c)[:, :, None]
        return d[:, :, 0]
    return _krylov(problem, curvature, blocks, slope, solve_blocks, scale, right)


def _gram(weights: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """int J^T J' dmu, shape (M, M)."""
    return (left * weights[:, None, None]).flatten(0, 1).T @ right.flatten(0, 1)


def _krylov(problem, curvature: Curvature, blocks, slope, solve_blocks, scale, right) -> Tensor:  # type: ignore[no-untyped-def]
    """The same system by GMRES (scipy), preconditioned by the blocks."""
    from scipy.sparse.linalg import LinearOperator, gmres

    mu, shape = problem.base, right.shape

    def apply(flat: np.ndarray) -> np.ndarray:
        v = torch.from_numpy(np.ascontiguousarray(flat)).to(right).view(shape)
        far = torch.zeros_like(v)
        if curvature.factor is not None:
            far = (curvature.factor @ mu.integrate((curvature.factor * v).sum(1)))[:, :, None]
        if curvature.cross is not None:
            far = far + curvature.cross(v[:, :, 0])[:, :, None]
        near = blocks @ v if slope is None else slope @ (blocks @ v)
        return solve_blocks(v + near + scale(far)).flatten().cpu().numpy()

    operator = LinearOperator((right.numel(),) * 2, matvec=apply, dtype=np.float64)
    target = solve_blocks(right).flatten().cpu().numpy()
    solution, _ = gmres(operator, target, rtol=1e-10, restart=100, maxiter=5)
    return torch.from_numpy(solution).to(right).view(shape)[:, :, 0]


def projection_slope(domain: Domain | None, z: Tensor) -> Tensor | None:
    """The derivative of the projection at each point, (N, dim, dim); None without a domain."""
    if domain is None:
        return None
    with recording():
        z = leaf(z)
        p = domain.project(z)
    if not p.requires_grad:
        raise TypeError(
            f"the projection of {domain!r} cannot be differentiated by torch, which BlockNewton needs; write it with "
            "torch operations, or use jko.LBFGS(tol=...)"
        )
    rows = [torch.autograd.grad(p[:, k].sum(), z, retain_graph=True)[0] for k in range(z.shape[1])]
    return torch.stack(rows, dim=1)
