"""Where a program runs: at a prompt, or in a notebook."""

from __future__ import annotations

import sys


def notebook() -> bool:
    """Whether this runs in a kernel with cells, where a line can be rewritten and a picture shown."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and hasattr(shell, "kernel")
