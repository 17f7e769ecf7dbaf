"""A fresh ``import jko`` leaves the heavy packages alone: they load where they are used."""

import subprocess
import sys

HEAVY = ("cvxpy", "matplotlib", "numba", "ot", "sklearn")


def test_a_fresh_import_loads_no_heavy_package():
    code = f"import sys, jko; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
