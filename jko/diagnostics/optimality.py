"""How far an energy is from its minimum over all measures, by the optimality conditions (4.9)-(4.10)."""

from __future__ import annotations

import torch

from jko import checks
from jko.deprecation import renamed
from jko.duality import Dual, Envelope, Gap, Minorant, grid_gap, obstacle
from jko.energies import Energy, value_of
from jko.measures import ChargedParticles, GridDensity, LineMesh, Particles, State
from jko.measures.tensors import on_numbers
from jko.spaces import projected, wraps

ROUNDS = 60  # of the maximisation over g where it takes a second or two
STEPS = 100  # of Newton's method over g, for densities


@renamed(rounds="max_iterations")
@on_numbers
def optimality(energy: Energy, state: State, *, max_iterations: int | None = None) -> Gap:
    """A lower bound on min F from one state, F convex for the linear structure.

    ``F(mu) - min F <= int phi_mu dmu - min over Omega of phi_mu``,    phi_mu = dF/dmu(mu)

    which is zero where (4.9)-(4.10) hold: phi_mu constant on the support, and no lower elsewhere.  For a risk it is the
    case g = f_mu - f of ``min F >= -|g|^2/2 - <g, f> + min over Omega of (<g, Phi> + V)``, which is then maximised
    over g.

    Parameters
    ----------
    energy : Energy
        F, or G read on the lift of a pair (rho, H).
    state : Particles, ChargedParticles, GridDensity or LineMesh
        The measure mu.  For a density the minimum is that over all densities on its cells, where phi_mu has U'(rho) of
        the internal energies in it; with an internal energy the best g is found to rounding.
    max_iterations
        Of the maximisation over g, each of them many local minimisations in Omega; 0 tries only multiples of the
        residual.  None: 60 where M dim^2 is small (they take a second or two), else 0.  For a large network, 30 of
        them take some seconds and prove much more.  For densities they are Newton steps; None means 100, and 0
        tries only the residual.

    Returns
    -------
    Gap
        With ``value = inf`` and the reason for an energy that is not convex in the measure.

    Raises
    ------
    TypeError
        For what is no energy or no state.

    Notes
    -----
    Source: survey (4.9), (4.10), Remark 2.1.  The prices g = 0 are always tried, so that ``min F >= min V``, which is 0
    for a risk without potential, where every other g can give -inf.

    Examples
    --------
    >>> import jko, torch
    >>> data = jko.Data([[-1.0], [1.0]], [-0.5, 0.5])
    >>> F = jko.Risk(data, activation=jko.Ridge(torch.tanh)) + 2.0 * jko.SquaredNorm()
    >>> found = jko.optimality(F, jko.Particles([[0.0, 0.0, 0.0]]))
    >>> found.rigorous, abs(found.value) < 1e-12
    (True, True)
    """
    checks.kind("energy", energy, Energy)
    checks.kind(
        "the state",
        state,
        Particles,
        ChargedParticles,
        GridDensity,
        LineMesh,
        hint="build it by jko.Particles(points)",
    )
    if max_iterations is not None:
        checks.count("max_iterations", max_iterations, least=0)
    with torch.no_grad():
        value = value_of(energy, state)
    if why := obstacle(energy):
        return Gap.unknown(why, value)
    if isinstance(state, (GridDensity, LineMesh)):
        return grid_gap(energy, state, STEPS if max_iterations is None else max_iterations)
    return _atoms_gap(energy, state.atoms, value, max_iterations)


def _atoms_gap(energy: Energy, mu: Particles, value: float, rounds: int | None) -> Gap:
    """The gap to the minimum over all measures, by the envelope with one block."""
    if wraps(mu.domain):
        reason = "no lower bound over all measures is known on a domain with periodic axes"
        return Gap.unknown(reason, value)
    minorant = Minorant.of(energy, mu)
    anchor = projected(torch.zeros_like(mu.points[:1]), mu.domain)
    envelope = Envelope(minorant, anchor, 0.0, mu.domain, mu.points)
    with torch.no_grad():
        cost = float(mu.integrate(minorant.potential(mu.points)))
    mixture = minorant.fit.outputs(mu), cost
    one = torch.ones_like(mu.weights[:1])
    dual = Dual(envelope, one, value, mixture)
    return dual.gap((ROUNDS if dual.affordable else 0) if rounds is None else rounds)
