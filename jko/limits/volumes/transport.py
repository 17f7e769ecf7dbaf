"""What moves a density beside its energy: a drift that is no gradient, and a diffusion that depends on the place.

``d_t rho = ... - div(rho b) + div(D grad rho)``, b and D at the midpoints of the faces, of b the component across.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.limits.volumes import faces
from jko.spaces import Grid

Field = Callable[[Tensor], Any]


@dataclass(frozen=True, eq=False)
class Transport:
    """The component of b and of the diagonal of D across the faces of each axis, or None."""

    drift: tuple[Tensor, ...] | None
    diffusion: tuple[Tensor, ...] | None

    @classmethod
    def of(
        cls, grid: Grid, closed: Tensor, like: Tensor, drift: Any = None, diffusion: Any = None
    ) -> Transport:
        """Evaluate both on the faces; what they are on the faces of closed cells does not matter.

        Raises
        ------
        ValueError
            Values of another shape; values that are not finite; a negative diffusion.
        """
        b = D = None
        if drift is not None:
            b = tuple(_across(grid, closed, like, _called("drift", drift), "drift", ("n", "d")))
        if diffusion is not None:
            rule = diffusion if callable(diffusion) else _constant(diffusion)
            found = _across(grid, closed, like, _called("diffusion", rule), "diffusion", ("n",))
            D = tuple(found)
            if any(bool((values < 0).any()) for values in D):
                raise ValueError(
                    "diffusion is negative somewhere; div(D grad rho) needs D >= 0, else it is diffusion backwards in "
                    "time, which has no solution"
                )
        return cls(b, D)

    @cached_property
    def fastest(self) -> float:
        """The largest component of the drift."""
        if self.drift is None:
            return 0.0
        return max((float(b.abs().max()) for b in self.drift if b.numel()), default=0.0)


def _constant(number: Any) -> Field:
    D = checks.number("diffusion", number, least=0)
    return lambda x: torch.full_like(x[:, 0], D)


def _called(name: str, rule: Any) -> Field:
    checks.function(name, rule, f"pass a callable of points (n, d) as {name}")
    found: Field = rule
    return found


def _across(
    grid: Grid, closed: Tensor, like: Tensor, rule: Field, name: str, shape: tuple[str, ...]
) -> Iterator[Tensor]:
    """The values of a field across the faces of each axis, in the shape of the faces."""
    for k, face in enumerate(grid.across):
        shut = face.before(closed) | face.after(closed)
        at = faces.places(grid, k).to(like)
        values = torch.as_tensor(rule(at)).detach().to(like)
        several = values.shape == (len(at), grid.dim)
        if not several and (shape == ("n", "d") or values.shape != (len(at),)):
            wanted = "(n, d)" if shape == ("n", "d") else "(n,) or (n, d)"
            raise ValueError(
                f"{name} of points (n, d) = {tuple(at.shape)} has shape {tuple(values.shape)}; it must be {wanted}"
            )
        across = (values[:, k] if several else values).reshape(shut.shape)
        across = torch.where(shut, 0.0, across)
        if not bool(across.isfinite().all()):
            raise ValueError(f"{name} is not finite on all faces between open cells")
        yield across
