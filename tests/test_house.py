"""The house stays in order: functions that fit on a screen, files with one idea, names with one meaning.

Every file of jko is parsed, not imported.  Lines of code are those of a function's body below its docstring, without
blank lines and comments.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[1] / "jko"

LONGEST_FUNCTION, MEDIAN_FUNCTION = 60, 5  # lines of code; kernels of numba may be longer
LONGEST_FILE = 300  # lines

# Class names that may stand in two files, each with the word that says why.
TWICE: dict[str, str] = {}


@dataclass(frozen=True)
class Function:
    """A function by name and place; ``kernel`` if numba compiles it."""

    where: str
    name: str
    lines: int
    kernel: bool


@dataclass(frozen=True)
class House:
    """The source files below ``root``."""

    root: Path

    @cached_property
    def files(self) -> dict[str, str]:
        paths = sorted(self.root.rglob("*.py"))
        return {p.relative_to(self.root.parent).as_posix(): p.read_text("utf-8") for p in paths}

    @cached_property
    def functions(self) -> list[Function]:
        return [f for where, text in self.files.items() for f in _functions(where, text)]

    @cached_property
    def classes(self) -> dict[str, list[str]]:
        places: dict[str, list[str]] = defaultdict(list)
        for where, text in self.files.items():
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(f"{where}:{node.lineno}")
        return places


def _functions(where: str, text: str) -> Iterator[Function]:
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kernel = any("jit" in ast.unparse(decorator) for decorator in node.decorator_list)
            yield Function(f"{where}:{node.lineno}", node.name, _code(node, lines), kernel)


def _code(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """Lines of code of a function."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not body:
        return 0
    code = (line.strip() for line in lines[body[0].lineno - 1 : body[-1].end_lineno])
    return sum(bool(line) and not line.startswith("#") for line in code)


def long_functions(house: House) -> list[str]:
    return [
        f"{f.where} {f.name} has {f.lines} lines of code; {LONGEST_FUNCTION} are allowed"
        for f in house.functions
        if f.lines > LONGEST_FUNCTION and not f.kernel
    ]


def long_in_the_middle(house: House) -> list[str]:
    middle = median([f.lines for f in house.functions] or [0])
    if middle <= MEDIAN_FUNCTION:
        return []
    return [f"the median function has {middle:g} lines of code; {MEDIAN_FUNCTION} are allowed"]


def long_files(house: House) -> list[str]:
    counts = {where: len(text.splitlines()) for where, text in house.files.items()}
    return [
        f"{where} has {n} lines; {LONGEST_FILE} are allowed, so find its second idea"
        for where, n in counts.items()
        if n > LONGEST_FILE
    ]


def names_with_two_meanings(house: House) -> list[str]:
    return [
        f"the class {name} stands in {' and '.join(places)}: rename one after what it is"
        for name, places in sorted(house.classes.items())
        if len({place.split(":")[0] for place in places}) > 1 and name not in TWICE
    ]


RULES = [long_functions, long_in_the_middle, long_files, names_with_two_meanings]


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_the_rule(rule):
    house = House(ROOT)
    assert house.files
    sentences = rule(house)
    assert not sentences, "\n".join(["", *sentences])


def test_no_exception_outlives_its_reason():
    assert [name for name in TWICE if len(House(ROOT).classes[name]) < 2] == []


LONG = "def f():\n" + "    x = 1\n" * 61


@pytest.mark.parametrize(
    ("rule", "files", "sentence"),
    [
        (long_functions, {"a.py": LONG}, "jko/a.py:1 f has 61 lines of code; 60 are allowed"),
        (
            long_functions,
            {"a.py": "class A:\n    async def g(self):\n" + "        x = 1\n" * 70},
            "jko/a.py:2 g has 70",
        ),
        (
            long_in_the_middle,
            {"a.py": "def f():\n" + "    x = 1\n" * 6},
            "median function has 6 lines",
        ),
        (long_files, {"steps/a.py": "\n" * 301}, "jko/steps/a.py has 301 lines"),
        (
            names_with_two_meanings,
            {"a.py": "class Pair: ...", "b/c.py": "def f():\n    class Pair: ..."},
            "the class Pair stands in jko/a.py:1 and jko/b/c.py:2",
        ),
    ],
)
def test_a_broken_rule_is_named(tmp_path, rule, files, sentence):
    assert sentence in "\n".join(rule(_written(tmp_path, files)))


@pytest.mark.parametrize(
    "files",
    [
        {"a.py": "@njit(cache=True)\n" + LONG + "\n\n" + "def g():\n    return 1\n" * 2},
        {"a.py": 'def f():\n    """Text.\n' + "\n    more\n" * 80 + '    """\n    return 1\n'},
        {"a.py": "def f():\n" + "    # why\n\n" * 40 + "    return 1\n"},
        {"a.py": "class A: ...\n\n\nclass B: ...\n", "b.py": "class C(A): ...\n"},
    ],
)
def test_a_kept_rule_is_quiet(tmp_path, files):
    house = _written(tmp_path, files)
    assert [sentence for rule in RULES for sentence in rule(house)] == []


def _written(folder: Path, files: dict[str, str]) -> House:
    for name, text in files.items():
        path = folder / "jko" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return House(folder / "jko")
