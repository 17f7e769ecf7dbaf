"""What every test shares: one thread, repeatable random numbers."""

import os

import pytest
import torch
from fuzz import examples
from hypothesis import settings

torch.set_num_threads(1)
os.environ.setdefault("MPLBACKEND", "Agg")  # pictures go to files, also where there is a screen

FUZZ = "FUZZ" in os.environ  # make fuzz: other examples, from --hypothesis-seed
settings.register_profile(
    "jko",
    derandomize=not FUZZ,
    deadline=None,
    max_examples=examples(25),
    database=None,
    print_blob=True,
)
settings.load_profile("jko")


@pytest.fixture
def generator() -> torch.Generator:
    """A freshly seeded source of random numbers, the same for every test."""
    return torch.Generator().manual_seed(20)
