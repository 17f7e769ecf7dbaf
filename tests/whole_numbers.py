"""Distances between equal masses in whole numbers, the referee where rounding matters, and clouds at mixed scales."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np


def exact_costs(x: np.ndarray, y: np.ndarray) -> tuple[list[list[int]], int]:
    """|x_i - y_j|^2 less the translation of the means, as whole numbers over one denominator."""
    X, Y = ([[Fraction(float(v)) for v in p] for p in cloud] for cloud in (x, y))
    dim, N, M = x.shape[1], len(x), len(y)
    t = [sum(p[k] for p in X) / N - sum(q[k] for q in Y) / M for k in range(dim)]
    cost = [[sum((p[k] - q[k] - t[k]) ** 2 for k in range(dim)) for q in Y] for p in X]
    unit = math.lcm(*(c.denominator for row in cost for c in row))
    return [[int(c * unit) for c in row] for row in cost], unit


def assignment(cost: list[list[int]]) -> list[int]:
    """The partner of each column, by shortest augmenting paths in whole numbers."""
    n = len(cost)
    u, v, row = [0] * (n + 1), [0] * (n + 1), [0] * (n + 1)
    for i in range(1, n + 1):
        row[0], j0 = i, 0
        least, before, used = [None] * (n + 1), [0] * (n + 1), [False] * (n + 1)
        while row[j0]:
            used[j0] = True
            free = [j for j in range(1, n + 1) if not used[j]]
            for j in free:
                new = cost[row[j0] - 1][j - 1] - u[row[j0]] - v[j]
                if least[j] is None or new < least[j]:
                    least[j], before[j] = new, j0
            j1 = min(free, key=lambda j: least[j])
            step = least[j1]
            for j in range(n + 1):
                if used[j]:
                    u[row[j]] += step
                    v[j] -= step
                elif least[j] is not None:
                    least[j] -= step
            j0 = j1
        while j0:
            row[j0] = row[before[j0]]
            j0 = before[j0]
    return [i - 1 for i in row[1:]]


def truth(x: np.ndarray, y: np.ndarray) -> tuple[Fraction, Fraction]:
    """W2^2 between equal masses, and what is left of it without the translation."""
    cost, unit = exact_costs(x, y)
    centred = Fraction(sum(cost[i][j] for j, i in enumerate(assignment(cost))), unit * len(x))
    X, Y = ([[Fraction(float(v)) for v in p] for p in cloud] for cloud in (x, y))
    means = zip(map(sum, zip(*X, strict=True)), map(sum, zip(*Y, strict=True)), strict=True)
    return centred + sum(((p - q) / len(x)) ** 2 for p, q in means), centred


def clouds(g: np.random.Generator, kind: str, n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Two clouds of n atoms whose spreads differ by up to 1e12."""
    x, y, one = g.normal(size=(n, dim)), g.normal(size=(n, dim)), g.choice([-1.0, 0.5, 1.0], dim)
    if kind == "far":  # a few atoms of both, far away
        k = g.integers(1, max(2, n // 2))
        far = 10.0 ** g.uniform(2, 12) * one
        x[:k], y[-k:] = x[:k] + far, y[-k:] + far
    elif kind == "unbalanced":  # a few atoms of one
        x[: max(1, n // 4)] += 10.0 ** g.uniform(2, 12) * one
    elif kind == "groups":  # neurons that have converged
        where = g.normal(size=(3, dim))[np.arange(n) % 3]
        x, y = (where + 10.0 ** g.uniform(-12, -2) * z for z in (x, y))
    elif kind == "shift":
        y = y + 10.0 ** g.uniform(3, 9) * one
    elif kind == "scales":
        x, y = (z * 10.0 ** g.uniform(-6, 6, (n, 1)) for z in (x, y))
    elif kind == "axes":  # H on another scale than theta
        x, y = (z * 10.0 ** g.uniform(-6, 6, dim) for z in (x, y))
    elif kind == "twins":
        x, y = (
            z[g.integers(0, max(1, n // 2), n)] * 10.0 ** g.uniform(-6, 6, (n, 1)) for z in (x, y)
        )
    return x, y


KINDS = ["far", "unbalanced", "groups", "shift", "scales", "axes", "twins"]
