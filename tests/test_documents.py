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


MADE = {"equations.md", "errata.md"}  # by the build
DOCS = sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in MADE)
PAGES = [ROOT / "README.md", *(page for page in DOCS if page.name != "structure.md")]
PROGRAM = r"```(?:python|\{code-cell\} ipython3)\n(?:---\n.*?\n---\n)?(.*?)```"  # of a page, or a cell of a notebook
SAID = {
    "README.md": ("FINISHED", "minimum >= ", "gap", "proved"),
    "training.md": ("slack > 0: True", "NOT_EXAMINED", "W2^2", "as good: True\nTrue"),
    "callables.md": ("outside torch", "gradient=", "CONVERGED"),
    "by_hand.md": ("mean [", "at rest after", "Trajectory(40 steps"),
    "tables.md": ("('area',) ('id',)", "('a', 'b', 'c')", "(2,) (2, 3)"),
    "pairs.md": ("4.0 16.0", "System (3.23)"),
}


# run by the build of the site too, with errors as errors; the README asks the same dear question
DEAR = {"ten_minutes.md"}
TRIED = [
    pytest.param(page, marks=[pytest.mark.slow] if page.name in DEAR else [], id=page.name)
    for page in PAGES
]


@pytest.mark.parametrize("page", TRIED)
def test_the_programs_on_the_page_run_one_after_another(page, capsys):
    names: dict[str, object] = {}
    for k, block in enumerate(re.findall(PROGRAM, page.read_text("utf-8"), re.DOTALL)):
        exec(compile(block, f"{page.name} {k}", "exec"), names)
    said = capsys.readouterr().out
    assert all(word in said for word in SAID.get(page.name, ()))


def test_public_names_have_docstrings():
    silent = [name for name in jko.__all__ if not (getattr(jko, name).__doc__ or "").strip()]
    assert not silent


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "docs/structure.md"])
def test_make_has_the_targets_that_the_page_names(page):
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / page).read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/structure.md", "docs/by_hand.md"])
def test_the_files_that_the_page_names_exist(page):
    named = re.findall(r"`([a-z_/]+\.(?:py|pyi|md))`", (ROOT / page).read_text())
    lost = [name for name in named if not any((ROOT / top / name).exists() for top in ("", "jko"))]
    assert lost == []
