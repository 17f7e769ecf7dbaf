"""numba's ``njit`` for kernels that are kept on disk, and for programs where nothing can be kept.

numba keeps what it has compiled in ``__pycache__`` beside the source, else in the user's cache directory
(``~/.cache/numba``), or where the environment variable ``NUMBA_CACHE_DIR`` says.  Where none of them can be written, it
refuses to make such a function at all; here it is compiled anew in every program.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def njit(*, cache: bool, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit``, kept on disk where there is a place.

    Examples
    --------
    >>> from jko.numerics.compiled import njit
    >>> @njit(cache=False)
    ... def double(x):
    ...     return 2 * x
    >>> double(3)
    6
    """

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=cache, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            return numba.njit(**options)(function)

    return compiled
