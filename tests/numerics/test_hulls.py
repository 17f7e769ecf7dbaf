"""Chords of convex hulls of tables, against all chords."""

import torch

from jko.numerics.hulls import chords


def test_the_chord_is_the_lowest_of_all():
    g = torch.Generator().manual_seed(0)
    x = torch.rand(17, generator=g, dtype=torch.float64).sort().values
    values = torch.randn(40, 17, generator=g, dtype=torch.float64)
    at = x[0] + (x[-1] - x[0]) * torch.rand(40, generator=g, dtype=torch.float64)
    left, right = chords(values, x, at)
    for row, w, i, j in zip(values, at, left, right, strict=True):
        assert x[i] <= w <= x[j]
        lowest = min(
            row[a] + (row[b] - row[a]) * (w - x[a]) / (x[b] - x[a])
            for a in range(17)
            for b in range(17)
            if x[a] <= w <= x[b] and a < b
        )
        found = row[i] + (row[j] - row[i]) * (w - x[i]) / (x[j] - x[i])
        assert abs(float(found - lowest)) < 1e-12


def test_convex_tables_have_chords_between_neighbours():
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)
    at = torch.linspace(-1, 1, 33, dtype=torch.float64)
    left, right = chords((x**2).expand(33, -1), x, at)
    assert torch.equal(right - left, torch.ones_like(left))
