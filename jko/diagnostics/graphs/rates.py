"""How fast the energy of a pair (rho, H) falls along each of the three systems, by the formulas of the survey.

With phi = dG/dmu at the pair, ``p = d_w phi`` and ``w = -grad_theta phi`` at (H, theta), B = grad H, ``v = w - p B``,
the fields of :func:`velocities`, whose squares :func:`motion` integrates:

- (3.9) for measures, and Proposition 3.3 for (3.23):  ``dG/dt = -int (|w|^2 + p^2) drho``
- after (3.19):  ``dG/dt = -int (|v|^2 + p^2) drho``
- along (3.21):  ``dG/dt = -int (|w|^2 + p^2 - p w . B) drho``, which can be positive where ``|B| > 2``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from jko import checks
from jko.diagnostics.graphs.slopes import slope_of_atoms, smooth
from jko.energies import Energy, sorted_terms
from jko.measures import ChargedDensity, ChargedMesh, ChargedParticles, ChargedSpan
from jko.measures.tensors import on_numbers
from jko.shown import shown


@shown
class Motion(NamedTuple):
    """How fast a pair (rho, H) moves under the three systems: integrals against rho.

    Attributes
    ----------
    w2, v2
        ``int |w|^2`` and ``int |v|^2``: of rho's velocity in (3.23), and in (3.19) and (3.21).
    p2
        ``int p^2``: of the change of H.
    cross
        ``int p w . B``.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedParticles([[1.0]], [2.0])
    >>> jko.diagnostics.motion(jko.SquaredNorm(), pair, slope=[0.0]).chaos  # -(theta^2 + H^2)
    -5.0
    """

    w2: float
    v2: float
    p2: float
    cross: float

    @property
    def chaos(self) -> float:
        """dG/dt along (3.23): Proposition 3.3."""
        return -(self.w2 + self.p2)

    @property
    def separated(self) -> float:
        """dG/dt along (3.19)."""
        return -(self.v2 + self.p2)

    @property
    def transported(self) -> float:
        """dG/dt along (3.21)."""
        return -(self.w2 + self.p2 - self.cross)


@shown
class Velocities(NamedTuple):
    """The fields that move a pair (rho, H), at its atoms, nodes or cells; NaN where there is no mass and no slope.

    Attributes
    ----------
    w : (N, d)
        ``-(grad_theta phi)(H, theta)``, H held: w_t of (3.24), which moves rho and carries H in (3.23).
    v : (N, d)
        ``-grad [theta -> phi(H(theta), theta)] = w - p grad H``, minus the total gradient of ``dG/drho``: v_t of
        (3.22), which moves rho in (3.19) and (3.21).
    p : (N,)
        ``dG/dH = (d_w phi)(H, theta)``: H falls at this rate, at a fixed theta in (3.19), else along the velocity.
    slope : (N, d)
        grad H.

    Examples
    --------
    >>> import jko
    >>> pair = jko.ChargedParticles([[1.0]], [2.0])
    >>> found = jko.diagnostics.velocities(jko.SquaredNorm(), pair, slope=[3.0])
    >>> found.w.tolist(), found.v.tolist(), found.p.tolist()  # -theta, -theta - H grad H, H
    ([[-1.0]], [[-7.0]], [2.0])
    """

    w: Tensor
    v: Tensor
    p: Tensor
    slope: Tensor


@on_numbers
def velocities(
    energy: Energy,
    state: ChargedSpan | ChargedMesh | ChargedDensity | ChargedParticles,
    slope: Any = None,
) -> Velocities:
    """The velocity fields v_t of (3.22) and w_t of (3.24), with the total gradient and the change of H.

    Parameters
    ----------
    energy, state, slope
        As in :func:`motion`.

    Raises
    ------
    TypeError, ValueError
        For what is no pair; an internal energy; a slope that is not known.  Of a measure the velocity is
        ``-energy.gradient(mu)``, (3.7).

    Notes
    -----
    Source: survey (3.20)-(3.24).  A domain is not looked at: at its walls the flow keeps the part that does not leave.

    Examples
    --------
    >>> import jko
    >>> mesh = jko.ChargedMesh([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.5, 0.5])  # H = theta
    >>> jko.diagnostics.velocities(jko.SquaredNorm(), mesh).v[:, 0].tolist()  # -2 theta
    [-2.0, -4.0, -6.0]
    """
    checks.kind(
        "the state",
        state,
        ChargedSpan,
        ChargedMesh,
        ChargedDensity,
        ChargedParticles,
        hint="a pair (rho, H); for a measure take jko.diagnostics.dissipation",
    )
    smooth(
        energy, "its force needs the density; jko.limits.chaos.rate has it, and its kin, on a grid"
    )
    for _, risk in sorted_terms(energy).risks:
        risk.neurons(state)
    B, gradient = slope_of_atoms(state, slope), energy.gradient(state.atoms)
    p, w = gradient[:, 0], -gradient[:, 1:]
    return Velocities(w, w - p[:, None] * B, p, B)


@on_numbers
def motion(
    energy: Energy,
    state: ChargedSpan | ChargedMesh | ChargedDensity | ChargedParticles,
    slope: Any = None,
) -> Motion:
    """The parts of all three dissipation formulas at one pair.

    Parameters
    ----------
    energy : Energy
        G, without internal energies.
    state : ChargedSpan, ChargedMesh, ChargedDensity or ChargedParticles
        The pair.
    slope : (N, d), optional
        B = grad H at the atoms; needed for :class:`ChargedParticles`, default :func:`graph_slope`.

    Notes
    -----
    Source: survey, after (3.19), and Proposition 3.3; the formula for (3.21) is not in the survey.  A domain is not
    looked at: there must be no mass at its walls.

    Examples
    --------
    h = exp(-theta) with residual one, where (3.21) raises the energy since H is steep.

    >>> import jko
    >>> data = jko.Data([[0.0]], [0.0])
    >>> G = jko.Risk(data, activation=lambda theta, x: (-theta).exp() * (1 + 0 * x.T))
    >>> one = jko.ChargedParticles([[0.0]], [1.0])
    >>> moving = jko.diagnostics.motion(G, one, slope=[3.0])
    >>> moving.chaos, moving.separated, moving.transported
    (-2.0, -5.0, 1.0)
    """
    found = velocities(energy, state, slope)
    w, v, p, B = found.w, found.v, found.p, found.slope
    parts = ((w * w).sum(-1), (v * v).sum(-1), p * p, p * (w * B).sum(-1))
    weights = state.atoms.weights
    full = weights > 0
    return Motion(*(float(weights[full] @ part[full]) for part in parts))
