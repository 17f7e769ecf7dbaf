"""The graph of H under (3.23): its atoms, and its unit normals, which turn with the Hessian of phi = dG/dmu.

The atoms of the lift move by ``xi' = -grad phi(xi)``, and so does its graph, with the Hessian A of phi at
xi = (w, theta).  The normal ``n = (1, -B)`` of the graph, B = grad H, turns by ``n' = A n``, up to its length, that is

``B' = -grad_theta phi_w - phi_ww B + (Hess_theta phi) B + (grad_theta phi_w . B) B``

and for ``Vbar = lam/2 (H^2 + |theta|^2)``, phi = w N(theta) + Vbar, ``B' = -grad N + H Hess N B + (grad N . B) B``:
lam cancels.  The equation for B blows up at a fold, where n has no part along w any more; the one for n is linear.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko.diagnostics.curvature import curvature
from jko.energies import Energy
from jko.measures import Particles
from jko.spaces import refuse_wrapped

Array = NDArray[np.float64]


class Normals:
    """Atoms with the unit normals of the graph through them, as one vector for the integrator."""

    def __init__(self, energy: Energy, mu: Particles, B: Tensor) -> None:
        refuse_wrapped("the graph of a flow without a fold", mu.domain)
        self.energy, self.mu = energy, mu
        normal = torch.nn.functional.normalize(torch.cat([torch.ones_like(B[:, :1]), -B], dim=1))
        self.start: Array = torch.cat([mu.points, normal]).double().cpu().numpy().ravel()
        self.scale = float(mu.points.abs().max()) or 1.0
        theta = mu.points[:, 1:]
        self.order = theta[:, 0].argsort() if mu.dim == 2 else None
        if self.order is not None:
            gaps = theta[self.order, 0].diff()
            self.gaps = torch.where(gaps > 0, gaps, torch.nan)  # two atoms at one place stay there

    def split(self, y: Array) -> tuple[Particles, Tensor]:
        """Atoms and normals (N, dim)."""
        both = torch.from_numpy(np.ascontiguousarray(y)).to(self.mu.points)
        points, normal = both.view(2, *self.mu.points.shape)
        return self.mu.moved(points), normal

    def rates(self, t: float, y: Array) -> Array:
        """``xi' = -grad phi``, and ``n' = A n`` less its part along n, so that n keeps its length."""
        mu, n = self.split(y)
        An = torch.einsum("nij,nj->ni", curvature(self.energy, mu), n)
        unit = torch.nn.functional.normalize(n)
        turn = An - (An * unit).sum(-1, keepdim=True) * unit
        return torch.cat([-self.energy.gradient(mu), turn]).double().cpu().numpy().ravel()

    def look(self, y: Array) -> tuple[float, float, int]:
        """The largest angle of the graph, the largest half spread, and which label is steepest."""
        mu, n = self.split(y)
        angle = torch.atan2(n[:, 1:].norm(dim=-1), n[:, 0])
        eigenvalues = torch.linalg.eigvalsh(curvature(self.energy, mu))
        spread = 0.5 * (eigenvalues[:, -1] - eigenvalues[:, 0])
        return float(angle.max()), float(spread.max()), int(angle.argmax())

    def upright(self, y: Array) -> float:
        """Positive while this is a graph: the least part of a normal along w, and of a gap that is left."""
        mu, n = self.split(y)
        least = float(n[:, 0].min())
        if self.order is None:
            return least
        left = mu.points[self.order, 1].diff() / self.gaps
        return min(least, float(left.nan_to_num(nan=1.0).amin())) if len(left) else least

    def outside(self, y: Array) -> bool:
        """Whether an atom has left its domain, beyond rounding."""
        mu, _ = self.split(y)
        if mu.domain is None:
            return False
        rounding = 64 * torch.finfo(mu.points.dtype).eps * (1 + mu.points.abs().amax(-1))
        return bool((mu.domain.distance(mu.points) > rounding).any())
