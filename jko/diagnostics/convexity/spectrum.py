"""The Hessian of an energy in L2(mu) at a state, and its least eigenvalue: dense where small, Lanczos where large."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from jko import checks
from jko.diagnostics.slope import meshes
from jko.energies import Energy, Internal, joined, negative, refuse, sorted_terms
from jko.measures import ChargedMesh, ChargedParticles, GridDensity, LineMesh, Particles, State
from jko.measures.tensors import on_numbers
from jko.metrics import as_array
from jko.numerics.banded import Banded
from jko.shown import Shown
from jko.trajectory import Trajectory

Array = NDArray[np.float64]

DENSE = 600  # unknowns
PRECISE = 1e-10  # of the largest eigenvalue that Lanczos met: where it stops
SHIFTS = 200  # doublings of a shift that makes a Hessian positive
START = 20260101  # of Lanczos: a fixed random vector


class Least(NamedTuple):
    """The least eigenvalue, and a bound on how far the spectrum is from it: zero up to rounding where dense."""

    value: float
    error: float


@dataclass(frozen=True, eq=False)
class Modulus(Shown):
    """Least eigenvalues of the Hessian in L2(mu) along a run.

    Attributes
    ----------
    times : (T,)
        Flow times of the kept states; of one state 0.
    values : (T,)
        The least eigenvalues.
    errors : (T,)
        By how much an eigenvalue may differ from each: the residual of Lanczos's vector; 0 where matrices were dense.

    Examples
    --------
    >>> import jko
    >>> jko.diagnostics.modulus(2 * jko.SquaredNorm(), jko.Particles([[0.0, 1.0]]))
    Modulus(least=2, states=1, error=0)
    """

    times: Array
    values: Array
    errors: Array

    @property
    def least(self) -> float:
        """Over the times."""
        return float(self.values.min())

    def _facts(self) -> dict[str, object]:
        return {"least": self.least, "states": len(self.values), "error": float(self.errors.max())}

    def __str__(self) -> str:
        rows = [f"{t:10.4g}  {v:14.6g}" for t, v in zip(self.times, self.values, strict=True)]
        return "\n".join([f"{'t':>10}  {'eigenvalue':>14}", *rows])


@on_numbers
def modulus(energy: Energy, run: Trajectory | State) -> Modulus:
    """The least eigenvalue of the Hessian of E in L2(mu), at a state or at the kept states of a run.

    It is the least ``d2E/dt2`` over the squared speed of all geodesics through the state, for E in W2, G in D.

    Parameters
    ----------
    energy : Energy
        F of measures, G of pairs.
    run : Trajectory or State
        Of Particles, ChargedParticles, LineMesh, ChargedMesh or GridDensity.

    Returns
    -------
    Modulus
        Its ``least`` is an upper bound of the modulus of convexity, which is the infimum over *all* states.  Lanczos's
        value is never below the least eigenvalue.

    Raises
    ------
    TypeError
        Another kind of state.
    ValueError
        Internal energies with negative coefficients; Lanczos's iteration did not converge.

    Notes
    -----
    Atoms: of the vector fields on atoms with mass, by ``energy.second_order``, up to 600 unknowns with the matrix,
    beyond by products alone.  Walls are not seen.  Meshes: in the edges, or the nodes and their charges, with their
    metric.  A density on a grid, d = 1, with an internal energy: as a mesh.  In more dimensions internal energies count
    as zero: they are convex along geodesics (McCann), so that the value is a *lower* bound for fields on the cells.

    Examples
    --------
    >>> import jko
    >>> E = jko.Potential(lambda x: (x[:, 0] ** 2 - 1) ** 2)  # V'' = 12 x^2 - 4
    >>> run = jko.flow(E, jko.Particles([[0.1], [1.0]]), tau=0.1, steps=3)
    >>> round(float(jko.diagnostics.modulus(E, run).values[0]), 9)
    -3.88
    """
    checks.kind("energy", energy, Energy)
    checks.kind("run", run, Trajectory, State, hint="what jko.flow gave back, or a state")
    energy = energy.detach()
    if isinstance(run, State):
        times, found = np.zeros(1), [least(run, energy)]
    else:
        times, found = run.times[run.kept], [least(state, energy) for state in run.states]
    return Modulus(times, *(np.array(part) for part in zip(*found, strict=True)))


@singledispatch
def least(state: State, energy: Energy) -> Least:
    """The least eigenvalue at a state, by its kind."""
    raise TypeError(
        f"the Hessian at a {type(state).__name__} is not known here; take jko.Particles, jko.ChargedParticles, "
        "jko.LineMesh, jko.ChargedMesh or jko.GridDensity: state.to_particles() has the atoms of any state"
    )


@least.register(Particles)
@least.register(ChargedParticles)
def _(state: State, energy: Energy) -> Least:
    """``B_i v_i + sum_m J_im int J_m . v dmu + cross v``, in the unknowns ``sqrt(m_i) v_i``."""
    mu = state.atoms
    mu.refuse_part("a Hessian")
    mu = state.to_particles().atoms if mu.has_empty_atoms else mu
    blocks, factor, cross = energy.second_order(mu)
    root, shape = mu.weights.sqrt()[:, None], mu.points.shape

    def apply(u: Array) -> Array:
        v = torch.from_numpy(np.asarray(u).reshape(shape)).to(mu.points) / root
        image = (blocks @ v[:, :, None])[:, :, 0]
        if factor is not None:
            image = image + factor @ mu.integrate((factor * v[:, :, None]).sum(1))
        if cross is not None:
            image = image + cross(v)
        return as_array(root * image).ravel()

    return smallest(apply, mu.points.numel())


@least.register(LineMesh)
@least.register(ChargedMesh)
def _(state: LineMesh | ChargedMesh, energy: Energy) -> Least:
    """``H v = lam M v``, M the metric."""
    J = meshes.objective(energy, state)
    H, far = J.hessian(J.at(J.start), convex=False)  # of E + d^2 / 2
    n = len(J.start)
    if far is None and n > DENSE:
        return _of_bands(H, J.gram)
    full = H.full()
    if far is not None:
        full = full + np.stack([far(row) for row in np.eye(n)], axis=1)
    return Least(
        float(eigh(full, J.gram.full(), eigvals_only=True, subset_by_index=[0, 0])[0]) - 1, 0.0
    )


@least.register(GridDensity)
def _(state: GridDensity, energy: Energy) -> Least:
    """As a mesh, or as atoms at the centres of cells."""
    terms = sorted_terms(energy)
    refuse(negative(terms.internal), "{name} has the coefficient {c:g}; it must be positive here")
    if terms.internal and state.dim == 1:
        return least(LineMesh.from_density(state), energy)
    others = joined(terms.without(Internal))
    return Least(0.0, 0.0) if others is None else least(state.to_particles(), others)


def smallest(apply: object, n: int) -> Least:
    """The least eigenvalue of a symmetric operator on n unknowns."""
    if n <= DENSE:
        matrix = np.stack([apply(row) for row in np.eye(n)])  # type: ignore[operator]
        matrix = 0.5 * (matrix + matrix.T)
        return Least(float(eigh(matrix, eigvals_only=True, subset_by_index=[0, 0])[0]), 0.0)
    operator = LinearOperator((n, n), matvec=apply, dtype=np.float64)
    start = np.random.default_rng(START).standard_normal(n)
    try:
        values, vectors = eigsh(operator, k=1, which="SA", v0=start, tol=PRECISE)
    except ArpackNoConvergence as error:
        raise ValueError(
            "Lanczos's iteration for the least eigenvalue did not converge: it is not separated from the next; take "
            "fewer atoms"
        ) from error
    v = vectors[:, 0]
    return Least(float(values[0]), float(np.linalg.norm(apply(v) - values[0] * v)))  # type: ignore[operator]


def _of_bands(H: Banded, M: Banded) -> Least:
    """Of ``H v = (1 + lam) M v``: the largest eigenvalue of M in the inner product of a positive ``H + c M``."""
    n, c, inverse = len(H.diagonal), 0.0, H.inverse()
    for k in range(SHIFTS):
        if inverse is not None:
            break
        c = 2.0**k
        inverse = _plus(H, M, c).inverse()
    assert inverse is not None
    shifted, start = _plus(H, M, c), np.random.default_rng(START).standard_normal(n)
    operators = [
        LinearOperator((n, n), matvec=product, dtype=np.float64)
        for product in (lambda v: M @ v, lambda v: shifted @ v, inverse)
    ]
    values, vectors = eigsh(
        operators[0], k=1, M=operators[1], Minv=operators[2], which="LA", v0=start, tol=PRECISE
    )
    v, lam = vectors[:, 0], 1 / float(values[0]) - c
    inner = M.inverse()
    assert inner is not None
    left, size = H @ v - lam * (M @ v), float(v @ (M @ v))
    return Least(lam - 1, float(max(left @ inner(left), 0.0) / size) ** 0.5)


def _plus(H: Banded, M: Banded, c: float) -> Banded:
    """``H + c M``."""
    bands = H.bands.copy()
    bands[: len(M.bands)] += c * M.bands
    return Banded(bands, H.factor)
