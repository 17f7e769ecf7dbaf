"""Least squares for the coefficients of a potential: of each transition the triangle of its rows is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jko.derivatives import leaf, recorded, recording
from jko.measures import Particles
from jko.metrics import as_array
from jko.metrics.couplings import Array
from jko.metrics.lifted import lifted_distance
from jko.snapshots.features import Features
from jko.spaces import refuse_wrapped


class Transition(NamedTuple):
    """One transition, read from both ends: points, masses and the mean velocity there."""

    implicit: tuple[Tensor, Tensor, Tensor]
    explicit: tuple[Tensor, Tensor, Tensor]
    exact: bool

    @classmethod
    def of(cls, old: Particles, new: Particles, tau: float) -> Transition:
        """By the optimal plan."""
        refuse_wrapped("the energy behind snapshots", old.domain, new.domain)
        found = lifted_distance(old, new)
        y, x = as_array(old.points), as_array(new.points)
        ahead = (found.plan.barycentres(x) - y) / tau
        behind = (x - found.plan.transposed.barycentres(y)) / tau
        sides = [
            (mu.points, mu.weights, torch.from_numpy(v)) for mu, v in ((new, behind), (old, ahead))
        ]
        return cls(sides[0], sides[1], bool(found.exact))


class LeastSquares:
    """Least squares ``mean_k |A_k c + v_k|^2 + ridge |c|^2``, each transition as the triangle of [A_k, v_k]."""

    def __init__(
        self, moves: Sequence[Transition], features: Features, scheme: str, ridge: float
    ) -> None:
        self.triangles = [_triangle(features, *getattr(move, scheme)) for move in moves]
        self.ridge = ridge
        self.speeds = np.array([np.square(R[:, -1]).sum() for R in self.triangles])
        if not (self.speeds > 0).all():
            k = int(np.argmin(self.speeds > 0))
            raise ValueError(
                f"snapshots {k} and {k + 1} are the same measure, which says nothing of V; drop one"
            )

    @cached_property
    def coefficients(self) -> Array:
        """c of all transitions."""
        return self._solved(self.triangles)

    @cached_property
    def residual(self) -> float:
        """Of all transitions together, relative to the speed."""
        missed = self.missed(self.coefficients)
        return float(np.sqrt(missed.sum() / self.speeds.sum()))

    @property
    def condition(self) -> float:
        """Of the columns, scaled to one."""
        A = np.concatenate([R[:, :-1] for R in self.triangles])
        sizes = np.linalg.norm(A, axis=0)
        if not (sizes > 0).any():
            raise ValueError("the features are constant, so no potential in their span has a slope")
        values = np.linalg.svd(A[:, sizes > 0] / sizes[sizes > 0], compute_uv=False)
        return float(values[0] / values[-1]) if values[-1] > 0 else float("inf")

    def missed(self, c: Array) -> Array:
        """``|A_k c + v_k|^2`` of each transition, (T,)."""
        return np.array([np.square(R[:, :-1] @ c + R[:, -1]).sum() for R in self.triangles])

    def held_out(self, k: int) -> float:
        """The relative residual of one transition where c is that of the others."""
        others = self.triangles[:k] + self.triangles[k + 1 :]
        if not others:
            return float("nan")
        return float(np.sqrt(self.missed(self._solved(others))[k] / self.speeds[k]))

    def _solved(self, triangles: list[Array]) -> Array:
        """The c of least norm, columns scaled to one."""
        R = np.concatenate(triangles)
        A, v = R[:, :-1], R[:, -1]
        if self.ridge > 0:
            root = np.sqrt(len(triangles) * self.ridge)
            A = np.concatenate([A, root * np.eye(A.shape[1])])
            v = np.concatenate([v, np.zeros(A.shape[1])])
        sizes = np.linalg.norm(A, axis=0)
        sizes[sizes == 0] = 1.0
        return np.asarray(np.linalg.lstsq(A / sizes, -v, rcond=None)[0] / sizes)


def _triangle(features: Features, x: Tensor, m: Tensor, v: Tensor) -> Array:
    """R of ``[grad phi, v]``, a row for each coordinate of each atom, by the roots of the masses: (<= p + 1, p + 1)."""
    root = m.sqrt()[:, None]
    columns = [*_gradients(features, x), v.to(x)]
    return np.asarray(
        np.linalg.qr(as_array(torch.stack([(root * u).flatten() for u in columns], dim=1)), "r")
    )


def _gradients(features: Features, x: Tensor) -> list[Tensor]:
    """``grad phi_l`` at the points, (n, dim) each."""
    name = "the features"
    with recording():
        z = leaf(x)
        values = recorded(name, features, z)
        if values.ndim != 2 or len(values) != len(z):
            raise ValueError(
                f"{name} have shape {tuple(values.shape)} at points {tuple(z.shape)}; return (n, p), a row each"
            )
        return [
            torch.autograd.grad(column.sum(), z, retain_graph=True, materialize_grads=True)[0]
            if column.requires_grad
            else torch.zeros_like(z)
            for column in values.unbind(1)
        ]
