"""The duality gap of a JKO step: how far it is from the minimum over *all* of P2, atoms free to split."""

from __future__ import annotations

from torch import Tensor

from jko.deprecation import renamed
from jko.duality.bundle import Columns
from jko.duality.dual import Dual
from jko.duality.envelope import Envelope
from jko.duality.gap import Gap
from jko.duality.minorant import Minorant, obstacle
from jko.energies import Energy
from jko.measures import Particles
from jko.spaces import wraps


@renamed(rounds="max_iterations")
def step_gap(
    energy: Energy,
    base: Particles,
    tau: float,
    mu: Particles,
    objective: float,
    *,
    improve: bool | None = None,
    max_iterations: int = 60,
) -> Gap:
    """How far ``objective`` is from the minimum of the step's problem over all measures.

    ``gap = E(mu) + W2^2(mu, mu_k) / (2 tau) - max over g of D(g)``

    Parameters
    ----------
    energy, base, tau
        Of the step: E, mu_k and the time step.
    mu : Particles
        The step's result.
    objective : float
        ``E(mu) + cost / (2 tau)``.
    improve
        Whether to maximise over g after g = f_mu - f was tried.  None: where that gap is not zero and the problem is
        small enough; where it is too large, g is only scaled, if g itself proves nothing.
    max_iterations
        Of the maximisation.

    Returns
    -------
    Gap
        Infinite, with the reason, for an energy that is not convex in the measure.

    Notes
    -----
    Where E has convex terms that are no risk (a positive definite interaction), they enter by their linearisation at
    the result, and the maximisation is over the g of the risks only.

    Examples
    --------
    >>> import jko
    >>> result = jko.step(
    ...     jko.SquaredNorm(), jko.Particles([[1.0]]), tau=1.0, solver=jko.LBFGS(tol=1e-12)
    ... )
    >>> gap = result.certificate()
    >>> abs(gap.value) < 1e-12, gap.rigorous
    (True, True)
    """
    if why := obstacle(energy):
        return Gap.unknown(why)
    if wraps(base.domain):
        return Gap.unknown(
            "no lower bound over all measures is known on a domain with periodic axes"
        )
    dual = _dual(energy, base, tau, mu, objective)
    worth = dual.affordable if improve is None else improve
    return dual.gap(max_iterations if worth else 0, improve is not False)


def split_atoms(
    energy: Energy, base: Particles, tau: float, mu: Particles, objective: float, rounds: int = 60
) -> tuple[Tensor, Tensor, Tensor] | None:
    """A better plan than the step's, with atoms split where that pays; the arguments are those of the gap.

    Returns
    -------
    (points, block, masses), or None
        The mass ``masses[a]`` of the base atom ``block[a]`` goes to ``points[a]``.  None where no better plan was
        found, where the energy is not convex in the measure, or the problem too large for the maximisation.

    Examples
    --------
    >>> import jko
    >>> wells = jko.Potential(lambda x: -2 * (x**2).sum(-1) + (x**4).sum(-1))
    >>> result = jko.step(wells, jko.Particles([[0.0]]), tau=1.0, throw=False)
    >>> result.objective <= 0.0
    True
    """
    if obstacle(energy) or wraps(base.domain):
        return None
    dual = _dual(energy, base, tau, mu, objective)
    best = dual.at(dual.envelope.minorant.residual)
    if not dual.affordable or best.value >= objective - dual.noise(best):
        return None
    columns = Columns(dual.envelope, dual.masses)
    dual.maximise(best, rounds, columns)
    if columns.solve()[0] >= objective - dual.noise(best):
        return None
    return columns.split()


def _dual(energy: Energy, base: Particles, tau: float, mu: Particles, objective: float) -> Dual:
    envelope = Envelope(Minorant.of(energy, mu), base.points, 1 / tau, base.domain, mu.points)
    return Dual(envelope, base.weights, objective)
