"""Young measures ``rho(dtheta) nu_theta(dw)``: the completion of the pairs (rho, H), fibre by fibre (Remark 3.4).

The completion of the pairs with D is P2(R x Theta) with W2, so as a measure this is nothing new: it is atoms.  What
is new is that each atom knows its fibre.  A flow moves atoms of one fibre apart in theta, since their speed
``-w grad N - grad_theta V`` depends on w.  Then the labels are those of a kinetic family, (theta, w) as functions of
the fibre and of where in it an atom began, and the fibres of the measure itself are found again by cells of theta:
:func:`jko.diagnostics.disintegration`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from jko import checks
from jko.measures.labels import first_rows, labels
from jko.measures.state import ChargedParticles, Particles, State
from jko.spaces import Domain, base_of, cached, cylinder, wrapped


@dataclass(frozen=True, eq=False)
class YoungMeasure(Particles):
    """``mu = sum_i rho_i nu_i(dw) delta_{theta_i}``, each nu_i a probability on R: a state (rho, nu_theta).

    Parameters
    ----------
    points : (N, 1 + d)
        Atoms (w, theta).
    label : (N,) of whole numbers, optional
        The fibre of each atom, numbered anew in order of appearance.  Default: atoms at one theta are one fibre.
    weights : (N,), optional
        Masses of the atoms, positive, with sum one; default 1/N each.
    domain : Domain, optional
        Closed convex set that holds the atoms, such as ``jko.spaces.cylinder(Theta)``.

    Raises
    ------
    TypeError, ValueError
        As for :class:`jko.Particles`; points of one coordinate; labels that are not whole numbers, one for each atom.

    Notes
    -----
    :meth:`of_fibres` builds it from (theta, w), :meth:`of_state` from any state.  Steps and flows move it in W2, atom
    by atom, with its labels.  What is said of fibres (``theta``, ``masses``, ``H``, ``moments``, ``variance``) is said
    of labels: of the measure itself as long as :attr:`parted` is zero.

    Source: survey Remark 3.4 and section 2.3, ``mu(dxi) = nu_theta(dw) rho(dtheta)``.

    Examples
    --------
    >>> import jko
    >>> mu = jko.measures.YoungMeasure.of_fibres([[0.0], [1.0]], [[1.0, -1.0], [3.0, 5.0]])
    >>> mu.H.tolist(), mu.variance.tolist(), mu.expected_variance
    ([0.0, 4.0], [1.0, 1.0], 1.0)
    """

    remedy = "build it by jko.measures.YoungMeasure.of_fibres(theta, w)"
    label: Tensor

    def __init__(
        self, points: Any, label: Any = None, weights: Any = None, domain: Domain | None = None
    ) -> None:
        super().__init__(points, weights, domain)
        if self.points.shape[1] < 2:
            raise ValueError(
                "the points have one coordinate; a Young measure has xi = (w, theta) with at least two"
            )
        number = labels(self.points[:, 1:]) if label is None else _numbered(label, self.N)
        self._fill(label=number.to(self.points.device))

    @classmethod
    def of_fibres(
        cls,
        theta: Any,
        w: Any,
        masses: Any = None,
        weights: Any = None,
        domain: Domain | None = None,
    ) -> YoungMeasure:
        """Fibres of k atoms each; those at one theta are one.

        Parameters
        ----------
        theta : (n, d)
            The places of the fibres.
        w : (n, k) or (k,)
            The atoms of nu at each of them, or one row for all: then w and theta are independent.
        masses : (n, k) or (k,), optional
            Their probabilities, positive, with sum one in each row; default 1/k each.
        weights : (n,), optional
            rho, positive, with sum one; default 1/n each.
        domain : Domain, optional
            Closed convex Theta.

        Examples
        --------
        >>> import jko
        >>> mu = jko.measures.YoungMeasure.of_fibres([[0.5]], [[1.0, -3.0]], [[0.75, 0.25]])
        >>> mu.points.tolist(), mu.H.tolist()
        ([[1.0, 0.5], [-3.0, 0.5]], [0.0])
        """
        theta = checks.shape("theta", checks.owned("theta", theta), ("n", "d"))
        n = len(theta)
        w = checks.owned("w", w, theta, "theta")
        w = checks.shape("w", w.expand(n, -1) if w.ndim == 1 else w, (n, "k"))
        weights = checks.weights("weights", weights, n, theta)
        k = w.shape[1]
        if masses is None:
            masses = torch.full_like(w, 1 / k)
        masses = checks.owned("masses", masses, theta, "theta")
        masses = checks.shape(
            "masses", masses.expand(n, -1) if masses.ndim == 1 else masses, (n, k)
        )
        wrong = torch.maximum((masses.sum(1) - 1).abs(), -masses.amin(1) * torch.inf)
        i = int(wrong.detach().nan_to_num(torch.inf).argmax())  # the row to speak of
        checks.weights(f"masses[{i}]", masses[i], k, theta)
        points = torch.cat([w.reshape(-1, 1), theta.repeat_interleave(k, dim=0)], dim=1)
        joint = (weights[:, None] * masses).reshape(-1)
        return cls(points, None, joint, cylinder(domain))

    @classmethod
    def of(cls, points: Tensor, weights: Tensor, domain: Domain | None = None) -> Particles:
        """Atoms without fibres, and without checks: those of :meth:`jko.Particles.of`."""
        return Particles.of(points, weights, domain)

    @classmethod
    def of_state(cls, state: State) -> YoungMeasure:
        """Any measure of (w, theta), or pair (rho, H), with a fibre for each theta: of a pair one atom in each.

        Examples
        --------
        >>> import jko
        >>> mu = jko.Particles([[1.0, 0.0], [2.0, 5.0], [3.0, 0.0]])
        >>> jko.measures.YoungMeasure.of_state(mu).label.tolist()
        [0, 1, 0]
        """
        checks.kind("state", state, State)
        state.refuse_part("finding fibres")
        mu = state.atoms
        full = mu.weights > 0
        return cls(mu.points[full], None, mu.weights[full] / mu.mass, mu.domain)

    def _facts(self) -> dict[str, Any]:
        return {"fibres": self.fibres, "E Var": self.expected_variance} | super()._facts()

    @property
    def d(self) -> int:
        """Dimension of Theta."""
        return self.points.shape[1] - 1

    @cached
    def fibres(self) -> int:
        """How many there are, n."""
        return int(self.label.max()) + 1

    @cached
    def masses(self) -> Tensor:
        """Masses of the fibres, (n,): rho."""
        return self._sums(torch.ones_like(self.weights))

    @cached
    def theta(self) -> Tensor:
        """Places of the fibres, (n, d): the mean of theta in each, where it parted."""
        return self._centres[:, 1:]

    @cached
    def H(self) -> Tensor:
        """The mean of w in each fibre, (n,)."""
        return self._centres[:, 0]

    @cached
    def variance(self) -> Tensor:
        """The variance of w in each fibre, (n,)."""
        return self._squares[:, 0]

    @property
    def expected_variance(self) -> float:
        """``E Var(w | fibre)``, the integral of :attr:`variance` over rho: zero if and only if it is a graph."""
        return float((self.masses @ self.variance).detach())

    @property
    def parted(self) -> float:
        """``E |theta - theta_fibre|^2``: how far atoms of one fibre have come apart in theta; zero if they have not."""
        return float((self.masses @ self._squares[:, 1:].sum(1)).detach())

    def moments(self, k: int) -> Tensor:
        """``H_i = int w^i nu(dw)`` of each fibre, i = 1 ... k, as in Lemma 3.2; shape (k, n).

        Examples
        --------
        >>> import jko
        >>> mu = jko.measures.YoungMeasure.of_fibres([[0.0]], [[1.0, -3.0]])
        >>> mu.moments(3).tolist()
        [[-1.0], [5.0], [-13.0]]
        """
        checks.count("k", k)
        return torch.stack([self._means(self.points[:, 0] ** i) for i in range(1, k + 1)])

    def means(self) -> ChargedParticles:
        """The pair (rho, H) with an atom for each fibre, at its mean; :meth:`project` while the fibres are whole."""
        return ChargedParticles(self.theta, self.H, self.masses / self.mass, base_of(self.domain))

    @cached
    def _first(self) -> Tensor:
        """An atom of each fibre, (n, 1 + d): means of differences to it leave no rounding where all are equal."""
        return self.points[first_rows(self.label)]

    @cached
    def _centres(self) -> Tensor:
        """The means of (w, theta), (n, 1 + d)."""
        means = self._first + self._means(self._moves(self._first))
        return means if self.domain is None else wrapped(means, self.domain)

    @cached
    def _squares(self) -> Tensor:
        """The variances of (w, theta), each coordinate, (n, 1 + d)."""
        moves = self._moves(self._first)
        return self._means((moves - self._means(moves)[self.label]).square())

    def _moves(self, places: Tensor) -> Tensor:
        """From a place of each fibre to its atoms, the shortest way; (N, 1 + d)."""
        moves = self.points - places[self.label]
        return moves if self.domain is None else self.domain.shortest(moves)

    def _sums(self, values: Tensor) -> Tensor:
        """Integrals over each fibre of numbers at the atoms, (N, ...) to (n, ...)."""
        mass = self.weights.reshape(-1, *[1] * (values.ndim - 1))
        empty = values.new_zeros(self.fibres, *values.shape[1:])
        return empty.index_add(0, self.label, mass * values)

    def _means(self, values: Tensor) -> Tensor:
        return self._sums(values) / self.masses.reshape(-1, *[1] * (values.ndim - 1))


def _numbered(label: Any, N: int) -> Tensor:
    """Whole numbers, one for each atom, in order of their first appearance from 0 on."""
    given = checks.shape("label", checks.tensor("label", label), (N,)).detach()
    if not bool((given == given.round()).all()):  # NaN is not either
        raise ValueError("label has entries that are not whole numbers; it numbers the fibres")
    return labels(given[:, None])
