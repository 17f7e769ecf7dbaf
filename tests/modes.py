"""Global settings of torch that a caller may have made."""

from contextlib import contextmanager

import torch


@contextmanager
def default_dtype(dtype):
    """Another default dtype, for a while."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
