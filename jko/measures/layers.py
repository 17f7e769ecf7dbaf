"""The neurons of both layers of a network (5.1), and the measure that they are read as.

The product of the layers has the metric ``int |d theta|^2 + int int |d b|^2 + int |d w|^2``, integrals against the
masses of the neurons.  Written as atoms ``(theta_i, sqrt(m_j) b_ij, sqrt(m_j) w_j)``, one for each neuron of the first
layer, with the outer weights repeated in each, it is W2 by index.  So the product needs no metric, no solver and no
scheme of its own: it is its lift, as a pair (rho, H) is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures.state import Particles, State
from jko.spaces import Domain, cached


@dataclass(frozen=True, eq=False)
class LayerAtoms(Particles):
    """Atoms ``(theta_i, sqrt(m_j) b_ij, sqrt(m_j) w_j)``: the lift of a :class:`TwoLayer`, which makes it.

    Parameters
    ----------
    points : (N1, n + 2 N2)
        The atoms.
    weights, domain
        As of :class:`Particles`.
    masses : (N2,)
        m, the masses of the neurons of the second layer; default 1/N2 each.

    Examples
    --------
    >>> import jko
    >>> lift = jko.measures.TwoLayer([[1.0]], [[2.0, 4.0, 6.0, 8.0]], [1.0, 2.0, 3.0, 4.0]).atoms
    >>> lift.points.tolist()
    [[1.0, 1.0, 2.0, 3.0, 4.0, 0.5, 1.0, 1.5, 2.0]]
    """

    masses: Tensor

    def __init__(
        self,
        points: Any,
        weights: Any = None,
        domain: Domain | None = None,
        *,
        masses: Any,
    ) -> None:
        super().__init__(points, weights, domain)
        masses = checks.shape("masses", checks.floats("masses", masses), ("N2",))
        if self.dim <= 2 * len(masses):
            raise ValueError(
                f"the points have {self.dim} coordinates; with N2 = {len(masses)} masses they are (theta, b, w), "
                f"n + 2 N2 > {2 * len(masses)}"
            )
        self._fill(masses=checks.weights("masses", masses, len(masses), self.points))

    @property
    def frame(self) -> tuple[float, ...]:
        """The masses by which the coordinates are scaled: two lifts are of one space if theirs are the same."""
        return tuple(self.masses.tolist())

    def layers(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """theta (k, n), b (k, N2) and w (k, N2) of k atoms at these points, without their scales."""
        N2 = len(self.masses)
        theta, b, w = points.split([points.shape[1] - 2 * N2, N2, N2], dim=1)
        roots = self.masses.sqrt()
        return theta, b / roots, w / roots


@dataclass(frozen=True, eq=False)
class TwoLayer(State):
    """A network with two hidden layers, ``f(x) = sum_j m_j w_j sigma(sum_i rho_i b_ij sigma(theta_i . x))``.

    It moves in the product of its layers, ``sum_i rho_i |d theta_i|^2 + sum_ij rho_i m_j |d b_ij|^2 + sum_j m_j
    |d w_j|^2``, where all speeds keep their size as N1 and N2 grow: steps, flows and schemes know it as it is, and its
    natural metric is W2 of its :attr:`atoms`.

    Parameters
    ----------
    theta : (N1, n)
        Inner weights of the neurons of the first layer.
    b : (N1, N2)
        Connections, from neuron i of the first layer to neuron j of the second.
    w : (N2,)
        Outer weights of the neurons of the second layer.
    weights : (N1,), optional
        rho, the masses of the neurons of the first layer, positive, with sum one; default 1/N1 each.
    masses : (N2,), optional
        m, those of the second layer; default 1/N2 each.

    Raises
    ------
    ValueError
        Shapes that do not fit, numbers that are not finite, masses that are no probability.

    Notes
    -----
    Source: survey (5.1), with a mean over each layer in place of the sums.

    The neurons of the second layer have names, 1 to N2, and those of the first have none: the distance of two states is
    the least over all couplings of first layers, with neuron j of one second layer held to neuron j of the other.  That
    is what a step needs, which moves each by a little.  As functions of x two networks are the same also when their
    second layers are permuted, :meth:`permuted`; the least distance over both couplings,
    :func:`jko.metrics.unlabelled`, is a problem of quadratic assignment.

    Examples
    --------
    >>> import jko, torch
    >>> net = jko.measures.TwoLayer(
    ...     [[1.0], [-1.0]], [[2.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [1.0, 1.0, 3.0]
    ... )
    >>> F = jko.energies.TwoLayerRisk(jko.Data([[0.5], [1.0]], [1.0, 1.0]))
    >>> run = jko.flow(F, net, tau=0.5, steps=3)
    >>> run.final
    TwoLayer(n=1, N1=2, N2=3)
    """

    theta: Tensor
    b: Tensor
    w: Tensor
    weights: Tensor
    masses: Tensor
    domain = None

    def __init__(self, theta: Any, b: Any, w: Any, weights: Any = None, masses: Any = None) -> None:
        theta = checks.shape("theta", checks.owned("theta", theta), ("N1", "n"))
        b = checks.shape("b", checks.owned("b", b, theta, "theta"), (len(theta), "N2"))
        w = checks.shape("w", checks.owned("w", w, theta, "theta"), (b.shape[1],))
        weights = checks.weights("weights", weights, len(theta), theta)
        masses = checks.weights("masses", masses, len(w), theta)
        self._fill(theta=theta, b=b, w=w, weights=weights, masses=masses)

    def _facts(self) -> dict[str, Any]:
        return {"n": self.n, "N1": self.N, "N2": self.N2}

    @property
    def n(self) -> int:
        """Inputs."""
        return self.theta.shape[1]

    @property
    def N2(self) -> int:
        """Neurons of the second layer."""
        return self.w.shape[0]

    @property
    def support(self) -> Tensor:
        """The atoms of the lift, (N1, n + 2 N2)."""
        return self.atoms.points

    @cached
    def atoms(self) -> LayerAtoms:
        """The lift: in its coordinates the metric of the product is W2."""
        roots = self.masses.sqrt()
        copies = (roots * self.w).expand(len(self.b), -1)
        points = torch.cat([self.theta, roots * self.b, copies], dim=1)
        return LayerAtoms._made(
            points=points, weights=self.weights, domain=None, masses=self.masses
        )

    def placed(self, points: Tensor) -> TwoLayer:
        """The network whose lift has its atoms at ``points`` (N1, n + 2 N2); of the copies of w it takes the mean."""
        theta, b, copies = self.atoms.layers(points)
        w = copies[0] + self.integrate(copies - copies[0])
        return self._with(theta=theta, b=b, w=w)

    def permuted(self, first: Any = None, second: Any = None) -> TwoLayer:
        """The same network with its neurons in another order, given for either layer.

        Examples
        --------
        >>> import jko
        >>> net = jko.measures.TwoLayer([[1.0]], [[2.0, 3.0]], [4.0, 5.0]).permuted(second=[1, 0])
        >>> net.b.tolist(), net.w.tolist()
        ([[3.0, 2.0]], [5.0, 4.0])
        """
        i, j = _order("first", first, self.N), _order("second", second, self.N2)
        changes = {"weights": self.weights[i], "masses": self.masses[j]}
        return self._with(theta=self.theta[i], b=self.b[i][:, j], w=self.w[j], **changes)


def _order(name: str, order: Any, count: int) -> Tensor:
    """Which neuron stands where, (count,)."""
    if order is None:
        return torch.arange(count)
    found = torch.as_tensor(order)
    if found.shape != (count,) or not torch.equal(found.sort().values, torch.arange(count)):
        raise ValueError(f"{name} must hold each of 0, ..., {count - 1} once; it is {order!r}")
    return found
