"""Half of the squared maximum mean discrepancy to samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.energies import Energy, Interaction, Sum
from jko.energies.potential import Linear
from jko.measures import Particles, State
from jko.spaces import cached, refuse_wrapped
from jko.targets.kernels import NegativeDistance, RadialKernel
from jko.targets.radial import RadialInteraction

FEW, INDEFINITE = (
    64,
    1e-8,
)  # samples on which a kernel of one's own is tried; a relative eigenvalue below -it is no kernel


@dataclass(frozen=True, eq=False)
class Pull(Linear):
    """``int V dmu`` with ``V(x) = E(nu) - int k(x - y) nu(dy)`` for ``E(nu) = 1/2 int int k dnu dnu``.

    Parameters
    ----------
    interaction : Interaction
        E.
    measure : Particles
        nu.

    Examples
    --------
    >>> import jko
    >>> from jko.targets import NegativeDistance, Pull, RadialInteraction
    >>> pull = Pull(RadialInteraction(NegativeDistance()), jko.Particles([[0.0]]))
    >>> float(pull(jko.Particles([[2.0]])))
    2.0
    """

    interaction: Interaction
    measure: Particles

    @cached
    def constant(self) -> Tensor:
        """E(nu)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.requires_grad):
            return self.interaction(self.measure)

    def variation(self, state: State, at: Tensor | None = None) -> Tensor:
        """V, shape (n,)."""
        at = self._alike(state, at)
        return self.constant - self.interaction.variation(self.measure, at)

    def _first_order(self, state: State, at: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """V and grad V."""
        V, slope = self.interaction._first_order(self.measure, self._alike(state, at))
        return self.constant - V, -slope

    def hessian(self, mu: Particles, at: Tensor | None = None) -> Tensor:
        """Hess V, shape (n, dim, dim)."""
        return -self.interaction.hessian(self.measure, self._alike(mu, at))

    def _alike(self, state: State, at: Tensor | None) -> Tensor:
        refuse_wrapped("a distance to samples", state.atoms.domain)
        at = state.atoms.points if at is None else at
        return of_one_space("the samples", self.measure, at)


def of_one_space(name: str, measure: Particles, at: Tensor) -> Tensor:
    """The points ``at``, where the measure lives in their space."""
    if at.shape[1] != measure.dim:
        raise ValueError(
            f"{name} have dimension {measure.dim} but the state has {at.shape[1]}; both live in one space (of a pair "
            "(rho, H) it is that of (H, theta))"
        )
    checks.alike(name, measure.points, "the state", at)
    return at


@dataclass(frozen=True, init=False, eq=False)
class Discrepancy(Sum):
    """``1/2 MMD(mu, nu)^2 = 1/2 int int k(x - y) (mu - nu)(dx) (mu - nu)(dy)``: towards samples of nu.

    Convex in mu: k is positive definite on measures of total mass zero.  It is a sum of an interaction and a potential,
    and every solver sees it so.

    Parameters
    ----------
    samples : state, or (M, dim)
        nu: samples of equal weights, or a state; a pair (rho, H) is its lift.
    kernel : RadialKernel or callable, optional
        k.  Default :class:`jko.targets.NegativeDistance`, ``-|z|``, which has no bandwidth and makes it half of the
        energy distance; or :class:`jko.targets.GaussianKernel`, :class:`jko.targets.InverseMultiquadric`, or a callable
        of differences (n, dim) -> (n,) in torch operations, of which the even part counts.

    Raises
    ------
    ValueError
        A callable that is no positive definite kernel on the first samples.  When it is evaluated: another dimension.

    Notes
    -----
    Value and derivatives sum over the pairs of atoms, and of atoms and samples, in blocks.  The variation is
    ``int k(x - y) (mu - nu)(dy)`` up to a constant.  The slope of a Gaussian kernel dies out beyond its bandwidth, and
    flows may rest far from nu; that of ``-|z|`` reaches everywhere, but it has kinks on samples, where atoms end.

    Source: Gretton et al., JMLR 13 (2012); as a flow Arbel et al., NeurIPS 2019.

    Examples
    --------
    >>> import jko
    >>> E = jko.Discrepancy([[0.0], [1.0]])
    >>> run = jko.flow(E, jko.Particles([[3.0], [5.0]]), tau=1.0, t1=20.0)
    >>> (
    ...     [abs(round(x, 1)) for x in run.final.points[:, 0].tolist()],
    ...     float(E(jko.Particles([[2.0]]))),
    ... )
    ([0.0, 1.0], 1.25)
    """

    energies: tuple[Energy, ...] = field(repr=False)
    samples: Particles
    kernel: Callable[[Tensor], Any]

    def __init__(self, samples: Any, kernel: Callable[[Tensor], Any] | None = None) -> None:
        nu = (samples if isinstance(samples, State) else Particles(samples)).atoms
        kernel = NegativeDistance() if kernel is None else kernel
        if isinstance(kernel, RadialKernel):
            energy: Interaction = RadialInteraction(kernel)
        else:
            energy = Interaction(kernel, convex=True)
            refuse_indefinite(energy, nu.points[:FEW])
        fields = {"energies": (energy, Pull(energy, nu)), "samples": nu, "kernel": kernel}
        for name, value in fields.items():
            object.__setattr__(self, name, value)


def refuse_indefinite(energy: Interaction, points: Tensor) -> None:
    """A kernel that is not positive definite on masses of total zero makes no distance."""
    with torch.no_grad():
        k = energy.between(points, points)
    mean = k.mean(0)
    value = torch.linalg.eigvalsh(k - mean - mean[:, None] + mean.mean())
    if bool(value[0] < -INDEFINITE * value.abs().amax()):
        raise ValueError(
            f"the kernel has the eigenvalue {float(value[0]):.3g} on masses of total zero at {len(points)} samples, so "
            "it is not positive definite and makes no discrepancy; write the energy as jko.Interaction and Potential"
        )
