"""Every example in a docstring, in the README and in docs/ runs, and gives what it says."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import jko

ROOT = Path(__file__).parents[1]
MODULES = [
    "jko",
    *(m.name for m in pkgutil.walk_packages(jko.__path__, "jko.") if "__main__" not in m.name),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def test_the_readme_runs(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    said = capsys.readouterr().out
    assert "CONVERGED" in said
    assert "F - min F <=" in said
    assert "gap" in said


def test_public_names_have_docstrings():
    silent = [name for name in jko.__all__ if not (getattr(jko, name).__doc__ or "").strip()]
    assert not silent
