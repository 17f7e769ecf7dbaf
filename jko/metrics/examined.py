"""The certificate of a step's coupling, by the kind of the measure that was moved."""

from functools import singledispatch

from jko.measures import Particles
from jko.metrics.certificates import Certificate, certify
from jko.metrics.couplings import Array, as_array


@singledispatch
def examined(base: Particles, x: Array, y: Array, potential: Array) -> Certificate:
    """Whether moving the atoms of ``base`` from y to x, (N, dim) each, is optimal: :func:`jko.metrics.certify`.

    A measure whose atoms are in several processes has another: ``@examined.register``, above a function of its class.

    Examples
    --------
    >>> import jko
    >>> from jko import metrics
    >>> mu = jko.Particles([[0.0], [1.0]])
    >>> y = metrics.as_array(mu.points)
    >>> metrics.examined(mu, y + 1.0, y, y[:, 0]).optimal
    True
    """
    return certify(x, y, as_array(base.weights), potential)
