"""Kernels work where nothing that was compiled can be kept."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import jko

PROGRAM = """
from jko.numerics.compiled import njit
from kernel_of_a_user import twice
print(twice(21), twice.stats.cache_path)
"""

KERNEL = """
from jko.numerics.compiled import njit

@njit(cache=True)
def twice(x):
    return 2 * x
"""


def run(folder, **places):
    env = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    env |= {
        "PYTHONPATH": f"{Path(jko.__file__).parents[1]}:{folder}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=env | places,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_a_kernel_is_kept_where_there_is_a_place_and_runs_where_there_is_none(tmp_path):
    (tmp_path / "kernel_of_a_user.py").write_text(KERNEL)
    (tmp_path / "__pycache__").write_text(
        "no directory"
    )  # nothing can be written beside the source
    home, other, none = tmp_path / "home", tmp_path / "other", "/dev/null"
    home.mkdir()
    assert run(tmp_path, HOME=none) == ["42", "None"]
    answer, place = run(tmp_path, HOME=str(home))
    assert answer == "42"
    assert place.startswith(str(home))
    assert list(home.rglob("*.nbi"))
    answer, place = run(tmp_path, HOME=none, NUMBA_CACHE_DIR=str(other))
    assert answer == "42"
    assert place.startswith(str(other))
    shutil.rmtree(home)
