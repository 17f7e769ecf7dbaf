"""Claim: curvature is turned to descent block by block; a block that is no number does not hide the others."""

import math

import torch

from jko.numerics.blocks import descending


def test_definite_blocks_stay_and_indefinite_ones_are_turned():
    good, bad = torch.diag(torch.tensor([1.0, 2.0])), torch.diag(torch.tensor([-3.0, 2.0]))
    turned = descending(torch.stack([good, bad]))
    assert torch.equal(turned[0], good)
    assert torch.allclose(turned[1], torch.diag(torch.tensor([3.0, 2.0])))


def test_blocks_that_are_not_finite_stay_so_beside_others():
    for wrong in (math.nan, math.inf):
        blocks = torch.stack([torch.full((2, 2), wrong), torch.diag(torch.tensor([-3.0, 2.0]))])
        assert not bool(descending(blocks[:1]).isfinite().any())
        turned = descending(blocks, least=1e-3)
        assert not bool(turned[0].isfinite().any())
        assert torch.allclose(turned[1], torch.diag(torch.tensor([3.0, 2.0])))
