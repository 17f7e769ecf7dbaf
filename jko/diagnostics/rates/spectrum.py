"""The spectrum of the flow where it rests: at which rates what is near comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.dissipation import has_internal
from jko.diagnostics.rates.families import Displaced, MovedAtoms, MovedEdges, flat
from jko.diagnostics.rates.linearised import modes
from jko.diagnostics.rates.normals import MovedNormals
from jko.energies import Energy
from jko.measures import ChargedParticles, GridDensity, LineMesh, NormalLaws, Particles, State
from jko.measures.tensors import on_numbers
from jko.shown import Shown, svg

Array = NDArray[np.float64]

MOST = 3000  # coordinates of a matrix: some ten seconds


@dataclass(frozen=True, eq=False)
class Spectrum(Shown):
    """Eigenvalues of the Hessian of F in L2(mu) at a measure at rest: what is near decays like ``e^{-kappa t}``.

    Attributes
    ----------
    eigenvalues : (k,)
        kappa, ascending.
    gap : float
        The least that is positive; 0 if there is none.
    flat, negative : int
        How many are zero, within what a minimiser is known to, and how many below: along the former F does not change
        to second order (overparametrised networks, symmetries), along the latter it falls: a saddle.
    modes : (k, ...)
        Of atoms velocities (k, N, dim), of meshes velocities of the free edges (k, n), of densities potentials p with
        velocity ``grad p``, (k, *grid.shape), of normal laws velocities of (m, L), ``S = L L^T``.
    complete : bool
        Whether these are all eigenvalues, and not only the least.

    Examples
    --------
    >>> import jko
    >>> found = jko.diagnostics.spectral_gap(3.0 * jko.SquaredNorm(), jko.Particles([[0.0, 0.0]]))
    >>> found.gap, found.rate, found.flat
    (3.0, 6.0, 0)
    """

    eigenvalues: Array
    gap: float
    flat: int
    negative: int
    modes: Array = field(repr=False)
    complete: bool = True

    @classmethod
    def of(cls, values: Array, modes: Array, complete: bool = True) -> Spectrum:
        """Eigenvalues, ascending, counted."""
        zero = flat(values)
        rising = values[~zero & (values > 0)]
        gap = float(rising[0]) if len(rising) else 0.0
        falling = int((~zero & (values < 0)).sum())
        return cls(values, gap, int(zero.sum()), falling, modes, complete)

    @property
    def rate(self) -> float:
        """Of ``F - F_* ~ e^{-r t}`` near rest: 2 gap, the limit of the dissipation ratio."""
        return 2 * self.gap

    @property
    def remarks(self) -> list[str]:
        """What to know before the gap is believed."""
        said = []
        if self.negative:
            said.append(
                f"{self.negative} eigenvalues are negative: the state is a saddle, no minimum"
            )
        if self.flat:
            said.append(
                f"{self.flat} eigenvalues are zero: the gap is that of the other directions, and a rate only where "
                "states at rest fill the flat ones"
            )
        return said

    def _facts(self) -> Mapping[str, object]:
        facts = {
            "gap": self.gap,
            "rate": self.rate,
            "flat": self.flat,
            "negative": self.negative,
            "eigenvalues": self.eigenvalues[:4],
        }
        return facts | ({"remark": "; ".join(self.remarks)} if self.remarks else {})

    def _picture(self) -> str:
        return svg.dots(np.arange(len(self.eigenvalues)), self.eigenvalues, "eigenvalues")

    def __str__(self) -> str:
        few = ", ".join(f"{v:.6g}" for v in self.eigenvalues[:8])
        more = ", ..." if len(self.eigenvalues) > 8 or not self.complete else ""
        head = f"gap {self.gap:.6g}, so F - F_* ~ e^(-{self.rate:.6g} t); eigenvalues {few}{more}"
        return "\n".join([head, *self.remarks])


@on_numbers
def spectral_gap(energy: Energy, rest: State, *, count: int = 6, even: bool = False) -> Spectrum:
    """The eigenvalues of the Hessian of F in L2(mu) at a measure at rest, the least of which is the spectral gap.

    On atoms it is minus the derivative of the velocities: ``(Hess v)_i = Hess phi(x_i) v_i + ...``, with what
    couples the atoms through the risk.  On cells it is the linearised equation (4.2), (4.7), with the risk's
    mean-field term, by a sparse symmetric eigenproblem; on a mesh the Hessian in its edges, and of
    normal laws that in the metric of Bures.

    Parameters
    ----------
    energy : Energy
        F.
    rest : Particles, ChargedParticles, GridDensity, LineMesh, Gaussian or GaussianMixture
        Where it rests: :func:`jko.diagnostics.best_particles`, :func:`jko.minimiser`, or the end of a long flow.
    count
        How many eigenvalues are computed of a density on cells; of all others all are.
    even : bool
        Only perturbations that stay their own image under x -> -x.  For densities and normal laws.

    Returns
    -------
    Spectrum
        Eigenvalues, the gap, and how many are flat or negative.

    Raises
    ------
    ValueError
        More than 3000 coordinates of atoms or edges; a density and an energy without internal energy.
    TypeError
        An internal energy of atoms.

    Notes
    -----
    Source: survey 5.1 (ii)-(iii).  The gap of N atoms is that of perturbations that move them; the measure they stand
    for may have smaller ones, in directions that no displacement of these atoms has.

    Examples
    --------
    Ornstein and Uhlenbeck's equation has the eigenvalues 0, 1, 2, ...:

    >>> import jko
    >>> F = jko.SquaredNorm() + jko.Entropy()
    >>> rest = jko.minimiser(F, jko.Grid((-7.0, 7.0), 200)).state
    >>> jko.diagnostics.spectral_gap(F, rest, count=3).eigenvalues.round(2).tolist()
    [1.0, 2.0, 3.0]
    """
    checks.kind("energy", energy, Energy)
    checks.kind("rest", rest, Particles, ChargedParticles, GridDensity, LineMesh, NormalLaws)
    checks.count("count", count)
    if isinstance(rest, GridDensity):
        found = modes(energy, rest, count, even)
        shape = (len(found.values), *rest.grid.shape)
        return Spectrum.of(found.values, found.potentials.reshape(shape), complete=False)
    family = moved(energy, rest, even)
    values, vectors = family.spectrum
    return Spectrum.of(values, family.velocities(vectors))


def moved(energy: Energy, rest: State, even: bool = False) -> Displaced:
    """The family of atoms, meshes or normal laws around a state."""
    if isinstance(rest, NormalLaws):
        return MovedNormals(energy, rest, even)
    if even:
        raise TypeError(
            f"even measures are searched among densities on a grid and normal laws, and rest is a "
            f"{type(rest).__name__}; leave out even=True"
        )
    if isinstance(rest, LineMesh):
        family: Displaced = MovedEdges(energy, rest)
    elif has_internal(energy):
        raise TypeError(
            "the energy has an internal term, which is +inf on atoms: take a jko.GridDensity or a jko.LineMesh"
        )
    else:
        family = MovedAtoms(energy, rest)
    if len(family.rest) > MOST:
        raise ValueError(
            f"the state has {len(family.rest)} coordinates; for more than {MOST} the spectrum takes too long: "
            "take fewer atoms"
        )
    return family
