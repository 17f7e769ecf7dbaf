"""A certificate on request: nothing is proved until somebody reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from jko.metrics.certificates import Certificate, Proof

FIELDS = {field.name for field in fields(Certificate)}


class OnRequest(Certificate):
    """A certificate that is worked out when one of its fields is first read, and then is an ordinary one.

    What training needs of a coupling it has without a proof: ``cost >= W2^2`` whatever the coupling, so that
    ``slack >= 0`` says that the energy fell by at least ``W2^2 / (2 tau)``.

    Parameters
    ----------
    examine
        Gives the certificate.
    cost
        The coupling's cost.

    Examples
    --------
    >>> import jko
    >>> mu = jko.Particles([[2.0, 0.0], [0.0, 1.0]])
    >>> result = jko.step(jko.SquaredNorm(), mu, tau=1.0, solver=jko.LBFGS(examine=False))
    >>> (
    ...     result.coupling.known.proof.name,
    ...     result.coupling.proof.name,
    ...     result.coupling.known.proof.name,
    ... )
    ('NOT_EXAMINED', 'NEAREST', 'NEAREST')
    """

    def __init__(self, examine: Callable[[], Certificate], cost: float) -> None:
        vars(self).update(examine=examine, paid=cost)

    def __getattr__(self, name: str) -> object:
        if name not in FIELDS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        vars(self).update(vars(vars(self)["examine"]()))
        return vars(self)[name]

    @property
    def known(self) -> Certificate:
        """Itself once it was read; before, that its cost is at least W2^2 and so at most ``cost`` above it."""
        if vars(self).keys() >= FIELDS:
            return self
        cost = vars(self)["paid"]
        return Certificate(Proof.NOT_EXAMINED, cost, cost, None, False)
