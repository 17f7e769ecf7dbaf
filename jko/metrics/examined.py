"""The certificate of a step's coupling, by the kind of the measure that was moved."""

from functools import singledispatch

from jko.measures import Particles
from jko.metrics.certificates import Certificate, certify
from jko.metrics.couplings import Array, Plan, as_array
from jko.metrics.wrapped import Seam
from jko.metrics.wrapped_proofs import certify_wrapped
from jko.spaces import wraps


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
    m = as_array(base.weights)
    if not wraps(base.domain):
        return certify(x, y, m, potential)
    cost = Plan.identity(m).cost(x, y)
    return certify_wrapped(x, y, m, Seam.of(base.domain), cost, potential)
