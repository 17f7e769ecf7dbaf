"""The site without building it: its configuration, the order of its pages, and the public names in its reference."""

import doctest
import importlib
import inspect
import re
import runpy
from pathlib import Path

import pytest

import jko

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


@pytest.fixture
def names(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("names")


def listed(page):
    """The pages in the tables of contents of a page."""
    trees = re.findall(r"```\{toctree\}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    lines = [line.strip() for tree in trees for line in tree.splitlines()]
    return [re.sub(r".*<(.*)>", r"\1", line) for line in lines if line and line[0] != ":"]


def test_the_configuration_runs():
    settings = runpy.run_path(str(DOCS / "conf.py"))
    assert settings["release"] == jko.__version__
    assert not [value for value in settings.values() if "http" in str(value)[:5]]


def test_every_page_is_listed_and_every_listed_page_is_there_or_made():
    made = {"equations", "errata", "reference/index", "gallery/index"}
    pages = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")}
    pages = {page for page in pages if not page.startswith("_") and page not in made}
    found = [page for each in DOCS.glob("*.md") for page in listed(each)]
    assert len(found) == len(set(found))
    assert set(found) == (pages | made) - {"index"}


def test_every_public_name_stands_in_the_reference_once_and_is_there(names):
    shown = [name for group in names.GROUPS.values() for name in names.names(group)]
    assert len(shown) == len(set(shown))
    for name in shown:
        module, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(module), last), name
    front = {
        f"jko.{name}" for home, row in jko._HOMES.items() if home != "jko" for name in row.split()
    }
    assert front <= set(shown)


@pytest.fixture
def examples(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("examples").EXAMPLES


def test_every_public_name_has_an_example(names, examples):
    """In its docstring, where it runs with the others, or beside the pages; constants need none."""
    silent = []
    for full in [name for group in names.GROUPS.values() for name in names.names(group)]:
        module, _, last = full.rpartition(".")
        thing = getattr(importlib.import_module(module), last)
        shown = ">>> " in (inspect.getdoc(thing) or "")
        assert not (shown and full in examples), full
        if callable(thing) and not shown and full not in examples:
            silent.append(full)
    assert silent == []


def test_examples_beside_the_pages_run(examples):
    for name, text in examples.items():
        test = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
        assert doctest.DocTestRunner().run(test).failed == 0, name


def test_every_public_module_has_a_page(names):
    modules = {module for group in names.GROUPS.values() for module in group.modules}
    public = {home for home in jko._HOMES if home != "jko"} | {
        f"jko.{name}" for name in jko._HOMES["jko"].split()
    }
    assert public <= modules


def test_docstrings_are_mathematics_and_code_stays_code(monkeypatch):
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(DOCS)
    prose = importlib.import_module("docstrings").prose
    assert prose(["``1/2 int |xi|^2 dmu`` of mu_*, |x|."]) == [
        r"``1/2 ∫ |ξ|² dμ`` of mu\_\*, \|x\|."
    ]
    assert prose(["``mu.project()`` is *proved*"]) == ["``mu.project()`` is *proved*"]
    code = ["Examples", "--------", ">>> x**2 | y_", "1"]
    assert prose(code) == code
