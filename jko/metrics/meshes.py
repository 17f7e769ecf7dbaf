"""W2 between densities on meshes of the line: ``W2^2 = int_0^1 (F_a^{-1}(s) - F_b^{-1}(s))^2 ds``.

Both quantile functions are linear between the levels where a cell of either mesh ends, so the integral is exact.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch

from jko.measures import LineMesh
from jko.metrics.base import Distance
from jko.metrics.couplings import Array, Index, Plan, as_array, norm


class Pieces(NamedTuple):
    """The monotone coupling, cut where a cell of either mesh ends.

    ``mass[k]`` goes from ``[left_a[k], right_a[k]]`` in cell ``rows[k]`` of a to ``[left_b[k], right_b[k]]`` in cell
    ``cols[k]`` of b, by a linear map.
    """

    mass: Array
    rows: Index
    cols: Index
    left_a: Array
    right_a: Array
    left_b: Array
    right_b: Array


def pieces(a: LineMesh, b: LineMesh) -> Pieces:
    """The monotone coupling of two meshes."""
    levels = [np.concatenate([[0.0], np.cumsum(as_array(mesh.masses))]) for mesh in (a, b)]
    levels = [level / level[-1] for level in levels]
    cuts = np.unique(np.concatenate(levels))
    middle = 0.5 * (cuts[1:] + cuts[:-1])
    found = []
    for mesh, level in zip((a, b), levels, strict=True):
        edges = as_array(mesh.edges)
        cell = np.clip(np.searchsorted(level, middle) - 1, 0, len(edges) - 2)
        speed = np.diff(edges)[cell] / np.diff(level)[cell]
        ends = [edges[cell] + speed * (cut - level[cell]) for cut in (cuts[:-1], cuts[1:])]
        found.append((cell, *ends))
    (rows, *ends_a), (cols, *ends_b) = found
    return Pieces(np.diff(cuts), rows, cols, *ends_a, *ends_b)


def line_distance(a: LineMesh, b: LineMesh) -> Distance:
    """W2 of two meshes, exact; the plan says what mass goes from cell to cell, and there are no potentials."""
    p = pieces(a, b)
    left, right = p.left_a - p.left_b, p.right_a - p.right_b
    mean, half = 0.5 * (left + right), 0.5 * (left - right)  # of the displacement on each piece
    with np.errstate(over="ignore", under="ignore"):
        squared = float((p.mass * (left**2 + left * right + right**2)).sum() / 3)
    length = norm(p.mass, np.stack([mean, half / math.sqrt(3)], axis=1), squared)
    plan = Plan(p.rows, p.cols, p.mass, (len(a.masses), len(b.masses)))
    return Distance(squared, plan, (np.empty(0), np.empty(0)), 0.0, True, length)


def line_geodesic(a: LineMesh, b: LineMesh, t: float) -> LineMesh:
    """The mesh of the pieces at time t: exact, one cell a piece."""
    p = pieces(a, b)
    left = (1 - t) * p.left_a + t * p.left_b
    right = (1 - t) * p.right_a[-1:] + t * p.right_b[-1:]
    like = a.edges
    edges = torch.from_numpy(np.concatenate([left, right])).to(like)
    domain = a.domain if a.domain is b.domain else None
    return LineMesh(edges, torch.from_numpy(p.mass / p.mass.sum()).to(like), domain)
