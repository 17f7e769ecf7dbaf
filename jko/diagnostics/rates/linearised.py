"""The flow of a density on cells, linearised where it rests: the slowest of its modes.

With masses m of the cells, ``phi = dF/dm``, ``B = D^2 F`` in the masses and ``K p`` the outflow ``-div(mu_* grad p)``
through the faces, the linearised flow is ``m' = -K B m``.  A mode is a potential p with

    ``K p = kappa W p``,    ``W = B^{-1}``,

so that masses ``W p``, and with them ``dF/dmu = p`` up to a constant, fall like ``e^{-kappa t}``.  These are the
eigenvalues of the Hessian of F in L2(mu_*), on gradients: ``<Hess grad p, grad p> = <B K p, K p> = kappa <p, K p>``.
The risk's part of B has few rows, ``B = D + A^T A``, so that W and the inverse of ``K + s W`` cost as much as sparse
matrices do.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, eigsh, splu

from jko.diagnostics.minimisers import with_squares
from jko.energies import Energy, Parts, parts
from jko.limits.densities import Volumes
from jko.limits.volumes.passage import CellPressures
from jko.measures import GridDensity

Array = NDArray[np.float64]

FULL = 1200  # cells up to which what is no square of few rows is taken as a matrix
EMPTY = 1e-14  # of the largest density: cells below it are outside of the support
SAME = 1e-9  # of the densities: how far an even one may be from its image
SHIFT = 0.1  # of the Rayleigh quotient of a coordinate: where the inverse iteration looks from


class Modes(NamedTuple):
    """Eigenvalues (k,), potentials (k, cells) and the masses that go with them, (k, cells); 0 in empty cells."""

    values: Array
    potentials: Array
    masses: Array


def modes(energy: Energy, rest: GridDensity, count: int, even: bool = False) -> Modes:
    """The slowest modes of the flow on cells, without the constants that conserve the mass; of even ones if asked."""
    terms = with_squares(parts(energy, rest))
    rho = rest.values.reshape(-1)
    inside = (rho > EMPTY * float(rho.max())).cpu().numpy()
    if not terms.internal:
        raise ValueError(
            "the energy has no internal energy, so that densities on cells do not rest where they are densities: add "
            "0.01 * jko.Entropy(), or take atoms"
        )
    E = _basis(rest, inside, even)
    K = (E @ mobility(energy, rest) @ E.T).tocsc()
    volume = rest.volumes.cpu().numpy()
    stiffness = np.where(inside, terms.mixture.stiffness(rho).cpu().numpy(), 0.0)
    D = (E.multiply(E) @ (stiffness / volume)).ravel()
    pieces = int(connected_components(K, directed=False)[0])
    count = min(count, len(D) - pieces)
    if terms.rest is not None or len(D) <= count + pieces + 2 or len(terms.A) > len(D):
        B = np.diag(D) + E @ _couplings(terms, rest) @ E.T
        values, potentials, masses = _dense(K.toarray(), B, pieces, count)
    else:
        A = (E @ terms.A.cpu().numpy().T).T
        away = rest.support[:, 0] - 0.5 * (rest.support[0, 0] + rest.support[-1, 0])
        x = E @ (away**2 if even else away).cpu().numpy()
        values, potentials, masses = _sparse(K, D, A, x, E @ np.ones(len(inside)), pieces, count)
    return Modes(values, potentials @ E, masses @ E)


def _basis(rest: GridDensity, inside: NDArray[np.bool_], even: bool) -> csr_matrix:
    """The cells of the support as rows (n, N), orthonormal; or those of them that are even, cells and their images."""
    N = len(inside)
    cells = np.flatnonzero(inside)
    if not even:
        return csr_matrix((np.ones(len(cells)), (np.arange(len(cells)), cells)), (len(cells), N))
    if not torch.allclose(rest.values, rest.values.flip(tuple(range(rest.dim))), rtol=0, atol=SAME):
        raise ValueError(
            "even measures need a state at rest that is even: the density is not its own image about the middle of "
            "its grid; leave out even=True, or take a grid that is centred"
        )
    first = cells[cells <= N - 1 - cells]
    number, image = np.arange(len(first)), N - 1 - first
    share = np.where(first == image, 0.5, 0.5**0.5)
    rows, columns = np.r_[number, number], np.r_[first, image]
    return csr_matrix((np.r_[share, share], (rows, columns)), (len(first), N))


def mobility(energy: Energy, rest: GridDensity) -> csc_matrix:
    """K, the weighted Laplacian of the faces: what passes for a unit of difference in dF/dmu at rest."""
    volumes = Volumes.of(energy, rest)
    rho, cell = rest.values, rest.grid.cell
    with torch.no_grad():
        cells = CellPressures(rho, volumes.powers)
        passages = volumes.through(cells, volumes.potential(rho))
    number = torch.arange(rest.grid.N).reshape(rest.grid.shape)
    K = csc_matrix((rest.grid.N, rest.grid.N))
    for passage in passages:
        face = passage.face
        w = volumes.across(face, -passage.along).clamp(min=0) * (cell / face.width)
        weight = w.reshape(-1).cpu().numpy()
        a, b = (side(number).reshape(-1).numpy() for side in (face.before, face.after))
        pairs = (np.r_[a, b, a, b], np.r_[a, b, b, a])
        K = K + coo_matrix((np.r_[weight, weight, -weight, -weight], pairs), K.shape).tocsc()
    return K


def _couplings(terms: Parts, rest: GridDensity) -> Array:
    """``D^2 F`` of all that is no internal energy, as a matrix (N, N)."""
    N = rest.grid.N
    if N > FULL:
        raise ValueError(
            f"the energy couples {N} cells in a way that is no sum of few squares, and {FULL} cells are the most for "
            "which its matrix is built: take a coarser grid"
        )
    m = rest.weights
    total = (terms.A.T @ terms.A).cpu().numpy()
    if terms.rest is None:
        return total
    step = 1e-4 * float(m.max())
    columns = [
        terms.slope_of_rest(m + step * e) - terms.slope_of_rest(m - step * e)
        for e in torch.eye(N).to(m)
    ]
    matrix = torch.stack(columns).cpu().numpy() / (2 * step)
    return total + 0.5 * (matrix + matrix.T)


def _dense(K: Array, B: Array, pieces: int, count: int) -> tuple[Array, Array, Array]:
    """By the matrix ``K^{1/2} B K^{1/2}``, which may be indefinite; masses ``K p``."""
    k, U = eigh(K)
    root = (U[:, pieces:] * np.sqrt(np.maximum(k[pieces:], 0))).T  # without the kernel
    values, Z = eigh(root @ B @ root.T)
    masses = (root.T @ Z[:, :count]).T
    return values[:count], masses @ B, masses


def _sparse(
    K: csc_matrix, D: Array, A: Array, x: Array, one: Array, pieces: int, count: int
) -> tuple[Array, Array, Array]:
    """By inverse iteration from a shift below zero; ``(D + A^T A)^{-1}`` by Woodbury's formula.

    ``x`` is a guess that varies slowly, ``one`` the constants.
    """
    AD = A / D
    inner = np.linalg.inv(np.eye(len(A)) + AD @ A.T)

    def W(p: Array) -> Array:
        return p / D - AD.T @ (inner @ (AD @ p))

    centred = x - one * (x @ W(one)) / (one @ W(one))
    s = SHIFT * float(centred @ (K @ centred)) / float(centred @ W(centred))
    lu = splu((K + diags(s / D)).tocsc())
    columns = lu.solve(np.ascontiguousarray(AD.T)) if len(A) else AD.T
    # (K + s D^{-1} - s AD^T inner AD)^{-1}
    middle = np.linalg.inv(np.linalg.inv(inner) - s * AD @ columns)

    def inverse(p: Array) -> Array:
        q = lu.solve(p)
        return q + s * (columns @ (middle @ (AD @ q)))

    n = len(D)
    as_operator = {"shape": (n, n), "dtype": np.float64}
    values, P = eigsh(
        K,
        k=count + pieces,
        M=LinearOperator(matvec=W, **as_operator),
        sigma=-s,
        OPinv=LinearOperator(matvec=inverse, **as_operator),
        v0=np.random.default_rng(0).normal(size=n),  # it must miss no mode
        ncv=min(n, max(4 * (count + pieces), 30)),
        tol=1e-12,
    )
    order = np.argsort(values)[pieces:]
    potentials = P[:, order].T
    return values[order], potentials, np.array([W(p) for p in potentials])
