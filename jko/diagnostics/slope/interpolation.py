"""``variational``: De Giorgi's identity of one step, exactly, by the steps of all shorter lengths."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.slope.branches import AHEAD, Branches, Jump, OnBranch
from jko.diagnostics.slope.proximal import Proximal, proximal
from jko.energies import Energy, value_of
from jko.measures import State
from jko.measures.tensors import on_numbers
from jko.shown import Shown

Array = NDArray[np.float64]

NODES = 8
ROWS = 8  # of the nodes, in print
TOL = 1e-9  # of what the energy falls by


@dataclass(frozen=True, eq=False)
class Variational(Shown):
    """De Giorgi's identity of one step: ``E_k - E_{k+1} = d^2 / 2 tau + 1/2 int_0^tau (d(mu_s, mu_k) / s)^2 ds``.

    Attributes
    ----------
    tau
        The length of the step.
    lowered, moved, sloped
        ``E_k - E_{k+1}``, ``d^2 / (2 tau)`` and ``1/2 int (d / s)^2 ds``.
    lengths, weights : (n,)
        Nodes s in (0, tau) and weights of the integral.
    speeds, slopes : (n,)
        ``d(mu_s, mu_k) / s``, and ``|dE|(mu_s)``, which is at most that.
    states : tuple
        The steps mu_s.
    end
        mu_{k+1}, the lowest of the steps of length tau that were found.
    jumps : tuple of Jump
        Lengths where the proximal map has two values.

    Examples
    --------
    >>> import jko
    >>> found = jko.diagnostics.variational(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.5)
    >>> round(found.lowered, 12), abs(found.residual) < 1e-12  # 1/2 - 1/2 (2/3)^2
    (0.277777777778, True)
    """

    tau: float
    lowered: float
    moved: float
    lengths: Array
    weights: Array
    speeds: Array
    slopes: Array
    states: tuple[State, ...]
    end: State
    jumps: tuple[Jump, ...]

    @cached_property
    def sloped(self) -> float:
        """``1/2 int (d / s)^2 ds``."""
        return 0.5 * float(self.weights @ self.speeds**2)

    @property
    def residual(self) -> float:
        """``lowered - moved - sloped``."""
        return self.lowered - self.moved - self.sloped

    @cached_property
    def left(self) -> float:
        """``1/2 int (d / s)^2 - |dE|^2(mu_s) ds``: what the slopes leave of the identity, not negative."""
        return 0.5 * float(self.weights @ (self.speeds**2 - self.slopes**2))

    def _facts(self) -> dict[str, object]:
        names = ("residual", "lowered", "moved", "sloped", "left", "tau")
        facts: dict[str, object] = {name: getattr(self, name) for name in names}
        jumps = {"jumps": ", ".join(f"s = {jump.s:.6g}" for jump in self.jumps)}
        return facts | {"steps": len(self.lengths)} | (jumps if self.jumps else {})

    def __str__(self) -> str:
        head = f"{'s':>10}  {'d(mu_s, mu_k) / s':>18}  {'|dE|(mu_s)':>12}"
        some = np.unique(np.linspace(0, len(self.lengths) - 1, ROWS).round().astype(int))
        rows = [
            f"{self.lengths[i]:10.4g}  {self.speeds[i]:18.8g}  {self.slopes[i]:12.8g}" for i in some
        ]
        total = (
            f"lowered {self.lowered:.6e} = moved {self.moved:.6e} + sloped {self.sloped:.6e}; residual "
            f"{self.residual:.1e}"
        )
        said = [
            f"jump at s = {j.s:.8g}: d from {j.below:.4g} to {j.above:.4g}, energies {j.gap:.1e} apart"
            for j in self.jumps
        ]
        return "\n".join([head, *rows, total, *said])


@on_numbers
def variational(
    energy: Energy, state: State, *, tau: float, nodes: int = NODES, tol: float = TOL
) -> Variational:
    """De Giorgi's identity of a step, by variational interpolation: through mu_s, the step of length s, for all s.

    ``E_k - E_{k+1} = d(mu_{k+1}, mu_k)^2 / (2 tau) + 1/2 int_0^tau (d(mu_s, mu_k) / s)^2 ds``,
    ``|dE|(mu_s) <= d(mu_s, mu_k) / s``

    Summed over a flow it is the equality of energy and dissipation of a curve of maximal slope:
    :func:`maximal_slope`.  To first order in tau, with the slope at mu_{k+1} in place of the integral, it is
    :func:`step_identity`, which solves no step again.

    Parameters
    ----------
    energy : Energy
        F for measures, G for pairs (rho, H).
    state : Particles, ChargedParticles, LineMesh, ChargedMesh or GridDensity
        mu_k.
    tau : float
        The length of the step.
    nodes : int
        Gauss's nodes in a panel; a panel of the integral is halved until its own identity holds.
    tol : float
        How well, as a part of what the energy falls by; ``float("inf")``: one panel.

    Returns
    -------
    Variational
        Its parts, its ``residual``, and the ``jumps``.

    Raises
    ------
    TypeError
        Another kind of state.
    jko.StepFailed
        A step that is none.

    Notes
    -----
    The identity is exact for minimisers.  The lowest minimum in s is continuous, its distance may jump: there the map
    has two values, and the place is found by following both branches until they are equally low.  The residual then
    vanishes all the same.  One that does not vanish says that a branch is missing: that a lower minimum was found
    which is not connected with the others (``gap`` of the jump).  Minima that neither the step itself, nor shorter or
    longer steps lead to are not found; :meth:`jko.steps.StepResult.certificate` bounds what they could be worth.

    An energy with kinks (ReLU) has steps that end at them, where a solver stalls; then one panel is taken, and the
    residual is what the kinks leave.

    On a grid d^2 is the action of one step (:class:`jko.Dynamic`), which minimises it up to second order in the cells:
    so is the residual, with 100 cells 2e-5 of what an entropy falls by; and so is what the slopes of finite volumes
    leave.  A density on the line has no such error as a mesh: ``jko.LineMesh.from_density(density)``.

    Source: Ambrosio, Gigli and Savare (2008), theorem 3.1.4 and definition 3.2.1; survey Remark 3.4.

    Examples
    --------
    >>> import jko
    >>> E = jko.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2)
    >>> found = jko.diagnostics.variational(E, jko.Particles([[0.1], [2.0]]), tau=0.2)
    >>> abs(found.residual) < 1e-8, found.jumps
    (True, ())
    """
    checks.kind("energy", energy, Energy)
    checks.kind("the state", state, State, hint="build it by jko.Particles(points)")
    tau = checks.number("tau", tau, above=0)
    steps = proximal(energy, state)
    return interpolated(steps, tau, OnBranch.of(steps.at(tau)), nodes, tol)


def interpolated(steps: Proximal, tau: float, end: OnBranch, nodes: int, tol: float) -> Variational:
    """The identity of the step of length tau that ends in the lowest place that is found, ``end`` or lower."""
    checks.count("nodes", nodes)
    checks.positive("tol", tol)
    base = steps.state
    start = OnBranch(0.0, base, value_of(steps.energy, base), steps.slope(base))
    fall = max(abs(start.value - end.value), 1e-300)
    branches = Branches(steps, nodes, tol, fall, abs(start.value) + abs(end.value))
    for place in others(branches, start, end) if steps.branching else ():
        end = place if place.value < end.value else end
    panels = branches.panels(start, end)
    places = [place for panel in panels for place in panel.places]
    moved = 0.5 * tau * end.speed**2
    return Variational(
        tau,
        start.value - (end.value - moved),
        moved,
        np.array([place.s for place in places]),
        np.concatenate([panel.weights for panel in panels]),
        np.array([place.speed for place in places]),
        np.array([steps.slope(place.state) for place in places]),
        tuple(place.state for place in places),
        end.state,
        tuple(branches.jumps),
    )


def others(branches: Branches, start: OnBranch, end: OnBranch) -> list[OnBranch]:
    """Other steps of length tau: on the branch of the shorter ones, and on those of longer ones."""
    tau = end.s
    place = start
    for s in (tau / 4, tau / 2, tau):
        place = branches.follow(place, s)
    found = [place]
    for s in (*(tau * by for by in AHEAD), tau):
        place = branches.follow(place, s)
    return [*found, place]
