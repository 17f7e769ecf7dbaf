"""What a projection to a graph loses."""

from __future__ import annotations

import torch

from jko import checks
from jko.deprecation import renamed
from jko.measures import Particles
from jko.measures.labels import first_rows, labels
from jko.measures.tensors import on_numbers


@renamed(mu="state")
@on_numbers
def projection_loss(state: Particles, width: float | None = None) -> float:
    """``int Var(w | theta) dmu``: how far a measure on R x Theta is from the graph of a function H.

    Zero if and only if mu is the lift of a pair (rho, H).  It is the squared distance of mu to the lift of
    ``mu.project()`` along Theta = const, at least ``W2(mu, mu.project().lift())^2``; and
    ``F(mu) - G(mu.project()) = lam/2`` times it for ``V = lam |xi|^2 / 2``.

    Parameters
    ----------
    state
        Points (w, theta).
    width
        Default: the variance among atoms at equal theta, exactly what ``.project()`` merges.  Atoms of a smooth
        measure hardly ever meet: with a width > 0, those whose theta rounds to one multiple of it (each coordinate)
        are put together.  A graph of slope B then has a loss of about ``|B|^2 width^2 / 12`` too.

    Notes
    -----
    Source: survey section 2.3.

    Examples
    --------
    >>> import jko
    >>> a = jko.ChargedParticles([[-1.0], [1.0]], [2.0, -2.0])
    >>> b = jko.ChargedParticles([[-1.0], [1.0]], [-2.0, 2.0])
    >>> [jko.metrics.projection_loss(jko.geodesic(a, b, t)) for t in (0.0, 0.25, 0.5)]
    [0.0, 0.0, 4.0]
    """
    mu = checks.kind("state", state, Particles, hint="a pair (rho, H) is a graph and loses nothing")
    if mu.dim < 2:
        raise ValueError("the points have one coordinate; Var(w | theta) needs xi = (w, theta)")
    w, theta = mu.points[:, 0], mu.points[:, 1:]
    if width is not None:
        theta = torch.round(theta / checks.number("width", width, above=0))
    label = labels(theta)
    count = int(label.max()) + 1
    anchor = w[first_rows(label)]  # variances of differences: equal charges leave no rounding
    mass, first, second = (
        w.new_zeros(count).index_add_(0, label, mu.weights * (w - anchor[label]) ** power)
        for power in range(3)
    )
    return float((second - first**2 / mass).clamp(min=0).sum())
