"""The modules of jko import each other only along the arrows of docs/structure.md.

Every file is parsed, not imported: imports inside functions count, and so do those that only a type
checker sees: they never run, but tie two ideas together.  The three tables below are the rule.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "jko"

GROUND = {"checks", "deprecation", "shown"}  # for everybody
STATES = GROUND | {"spaces", "measures"}
RECORDS = STATES | {"status", "storage", "trajectory"}
STEPS = STATES | {"numerics", "derivatives", "status", "networks", "energies", "metrics", "duality"}
FLOWS = STEPS | RECORDS | {"steps", "schemes", "observers", "ledger"}
NUMERIC = FLOWS | {"flows", "limits", "exact"}
ANALYSIS = NUMERIC | {"diagnostics", "distributed", "targets", "snapshots"}

# Layer (a module or a folder of jko/): what of jko it may import besides itself.
# "steps.result" stands for that one module, "steps" for the whole folder, "jko" for jko/__init__.py.
MAY_IMPORT: dict[str, set[str]] = {
    "deprecation": set(),
    "lazy": {"deprecation"},
    "checks": set(),
    "shown": set(),
    "status": set(),
    "numerics": set(),
    "derivatives": GROUND,
    "spaces": GROUND,
    "measures": GROUND | {"derivatives", "spaces"},
    "networks": STATES | {"derivatives", "numerics"},
    "energies": STATES | {"derivatives", "networks", "numerics"},  # never metrics
    "metrics": STATES | {"numerics", "status"},  # never energies
    "targets": STATES | {"energies", "metrics"},  # energies made of metrics
    "duality": STATES | {"numerics", "networks", "energies"},
    "storage": STATES,
    "trajectory": STATES | {"status", "storage"},  # figures over time: it knows no solver
    "steps": STEPS,
    "distributed": STATES
    | {"derivatives", "metrics", "storage", "trajectory"},  # as the ledger sees them
    "schemes": STEPS | {"steps"},
    "observers": RECORDS | {"steps.result"},  # they see results, not solvers
    "ledger": STEPS | RECORDS | {"steps"},  # what steps leave behind, while it is being written
    "flows": FLOWS,
    "exact": GROUND,
    "snapshots": STATES | {"derivatives", "energies", "metrics", "trajectory"},
    "limits": RECORDS
    | {
        "derivatives",
        "networks",
        "energies",
        "numerics",
    },  # an independent witness: never steps, never flow
    "diagnostics": NUMERIC,
    "survey": ANALYSIS,
    "testing": ANALYSIS,
    "optim": ANALYSIS,
    "estimators": ANALYSIS,
    "plots": ANALYSIS | {"survey", "lazy"},  # the pictures of claims
    "datasets": GROUND | {"networks"},
    "runs": ANALYSIS | {"datasets"},
    "cli": ANALYSIS | {"survey", "datasets", "runs", "plots", "jko"},
    "__main__": {"cli", "jko"},
}

# A package from outside: the only files that may import it ("" is all of jko).
# A package that is not here would be a dependency nobody declared.
OUTSIDE: dict[str, set[str]] = {
    "numpy": {""},
    "scipy": {""},
    "torch": {""},
    "numba": {"numerics", "steps", "metrics"},
    "ot": {"metrics", "steps.plans"},
    "cvxpy": {"steps.conic"},
    "sklearn": {"estimators", "datasets", "cli"},
    "matplotlib": {"plots"},
    "xarray": {"trajectory"},
    "latex2mathml": {"cli"},
}

# What must not be reachable, however long the way.
NEVER_REACH: dict[str, set[str]] = {
    "limits": {"steps", "schemes", "flows"},
    "energies": {"metrics"},
    "metrics": {"energies"},
}


@dataclass(frozen=True)
class Import:
    """One name imported by one line; ``running`` is False below ``if TYPE_CHECKING:``."""

    source: str
    target: str
    where: str
    running: bool


@dataclass(frozen=True)
class Package:
    """The source files of a package called jko below ``root``; modules are named without the jko."""

    root: Path

    @cached_property
    def files(self) -> dict[str, Path]:
        return {
            _module(path.relative_to(self.root)): path for path in sorted(self.root.rglob("*.py"))
        }

    @cached_property
    def imports(self) -> list[Import]:
        return [
            found for module, path in self.files.items() for found in self._imports(module, path)
        ]

    def _imports(self, module: str, path: Path) -> Iterator[Import]:
        package = ["jko", *module.split(".")] if module else ["jko"]
        if path.name != "__init__.py":
            package = package[:-1]
        for node, running in _walk(ast.parse(path.read_text("utf-8")), running=True):
            where = f"jko/{path.relative_to(self.root).as_posix()}:{node.lineno}"
            for stem, name in _names(node, package):
                yield Import(module, self._resolve(stem, name), where, running)

    def _resolve(self, stem: str, name: str) -> str:
        """What ``from stem import name`` imports: the module ``stem.name``, or the module ``stem``."""
        module = f"{stem}.{name}".removeprefix("jko.")
        is_module = name and (module in self.files or module in MAY_IMPORT)
        return f"jko.{module}" if is_module else stem

    @cached_property
    def graph(self) -> dict[str, list[str]]:
        """What runs when: module -> modules of jko, with the folders above a target, without the root."""
        graph: dict[str, list[str]] = {module: [] for module in self.files if module}
        for found in self.imports:
            if not (found.source and found.running and found.target.startswith("jko.")):
                continue
            target, edges = found.target.removeprefix("jko."), graph[found.source]
            # importing a.b.c runs a and a.b first, unless we are below them: then they run already
            folders = [".".join(target.split(".")[:n]) for n in range(1, target.count(".") + 1)]
            run = [folder for folder in folders if not within(found.source, {folder})] + [target]
            edges.extend(module for module in run if module in graph and module not in edges)
        return graph

    @cached_property
    def ties(self) -> dict[str, list[str]]:
        """The graph of what runs, and with it what a type checker alone sees: who knows whom."""
        ties = {module: list(targets) for module, targets in self.graph.items()}
        for found in self.imports:
            target = found.target.removeprefix("jko.")
            if found.source and not found.running and target in ties:
                ties[found.source].append(target)
        return ties


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _walk(tree: ast.AST, running: bool) -> Iterator[tuple[ast.stmt | ast.expr, bool]]:
    """All nodes below, each with whether it ever runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from _walk(ast.Module(node.body, []), False)
            yield from _walk(ast.Module(node.orelse, []), running)
            continue
        if isinstance(node, ast.stmt | ast.expr):
            yield node, running
        yield from _walk(node, running)


def _names(node: ast.AST, package: list[str]) -> list[tuple[str, str]]:
    """The imports of a node as pairs: ``from stem import name``, or ``import stem`` with an empty name."""
    match node:
        case ast.Import():
            return [(alias.name, "") for alias in node.names]
        case ast.ImportFrom():
            above = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*above, *([node.module] if node.module else [])])
            return [(stem, alias.name) for alias in node.names]
        case ast.Call(func=func, args=[ast.Constant(value=str(stem)), *_]) if ast.unparse(func) in (
            "importlib.import_module",
            "import_module",
            "__import__",
        ):
            return [(stem, "")]
    return []


def within(module: str, places: Iterable[str]) -> bool:
    return any(place in ("", module) or module.startswith(f"{place}.") for place in places)


def unknown_modules(jko: Package) -> list[str]:
    tops = sorted({module.split(".")[0] for module in jko.files if module})
    return [
        f"jko/{top} is in no layer: add it to MAY_IMPORT in tests/test_import_graph.py, "
        "with what it may import, and to docs/structure.md"
        for top in tops
        if top not in MAY_IMPORT
    ]


def turned_arrows(jko: Package) -> list[str]:
    sentences = []
    for found in jko.imports:
        layer, target = found.source.split(".")[0], found.target.removeprefix("jko.")
        if not (layer in MAY_IMPORT and found.target.split(".")[0] == "jko"):
            continue
        if not within(target, MAY_IMPORT[layer] | {layer}):
            allowed = ", ".join(sorted(MAY_IMPORT[layer])) or "nothing of jko"
            sentences.append(f"{found.where} imports {found.target}; {layer} may import {allowed}")
    return sentences


def strangers(jko: Package) -> list[str]:
    sentences = []
    for found in jko.imports:
        name = found.target.split(".")[0]
        if name == "jko" or name in sys.stdlib_module_names:
            continue
        if name not in OUTSIDE:
            sentences.append(
                f"{found.where} imports {name}; declare it in pyproject.toml, then add it to OUTSIDE"
            )
        elif not within(found.source, OUTSIDE[name]):
            places = ", ".join(sorted(OUTSIDE[name]))
            sentences.append(f"{found.where} imports {name}, which belongs in {places} only")
    return sentences


def forbidden_paths(jko: Package) -> list[str]:
    sentences = []
    for layer, never in NEVER_REACH.items():
        goals = {module for module in jko.graph if within(module, never)}
        starts = [module for module in jko.graph if within(module, {layer})]
        paths = [path for start in starts if (path := _path(jko.graph, start, goals))]
        sentences += [f"{layer} reaches what it may never: {' -> '.join(path)}" for path in paths]
    return sentences


def _path(graph: dict[str, list[str]], start: str, goals: set[str]) -> list[str]:
    """A shortest path from ``start`` to one of ``goals``; empty if there is none."""
    came_from, queue = {start: ""}, [start]
    for module in queue:
        if module in goals:
            path = [module]
            while came_from[path[0]]:
                path.insert(0, came_from[path[0]])
            return path
        for target in graph[module]:
            if target not in came_from:
                came_from[target] = module
                queue.append(target)
    return []


def circles(jko: Package) -> list[str]:
    """A shortest circle through each import that lies on one, each circle once."""
    found: dict[frozenset[str], str] = {}
    for source, targets in jko.ties.items():
        for target in targets:
            if back := _path(jko.ties, target, {source}):
                found.setdefault(frozenset(back), " -> ".join([source, *back]))
    return list(found.values())


RULES = [unknown_modules, turned_arrows, strangers, forbidden_paths, circles]


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule):
    jko = Package(ROOT)
    assert jko.files
    sentences = rule(jko)
    assert not sentences, "\n".join(["", *sentences])


def test_the_table_itself_keeps_what_may_never_be_reached():
    for layer, never in NEVER_REACH.items():
        graph = {layer: sorted(targets) for layer, targets in MAY_IMPORT.items()}
        assert not _path(graph, layer, never)


def test_the_page_on_structure_has_a_row_for_every_layer():
    page = (ROOT.parent / "docs" / "structure.md").read_text("utf-8")
    rows = "".join(line.split("|")[1] for line in page.splitlines() if line.startswith("|"))
    assert [layer for layer in MAY_IMPORT if f"`{layer}`" not in rows] == []


@pytest.mark.parametrize(
    ("rule", "files", "sentence"),
    [
        (unknown_modules, {"magic.py": ""}, "jko/magic is in no layer"),
        (
            turned_arrows,
            {"measures/__init__.py": "from jko.steps import step"},
            "imports jko.steps;",
        ),
        (
            turned_arrows,
            {"measures/a.py": "def f():\n    from jko import flows"},
            "a.py:2 imports jko.flows;",
        ),
        (
            turned_arrows,
            {"metrics/a.py": "from ..energies.risk import Risk"},
            "imports jko.energies.risk;",
        ),
        (turned_arrows, {"measures/a.py": "from ..steps import step"}, "imports jko.steps;"),
        (
            turned_arrows,
            {"observers.py": "import jko.steps.plans", "steps/plans.py": ""},
            "steps.plans;",
        ),
        (turned_arrows, {"spaces.py": "import jko"}, "spaces.py:1 imports jko; "),
        (
            turned_arrows,
            {"spaces.py": "import importlib as i\nx = __import__('jko.flows')"},
            "jko.flows;",
        ),
        (
            turned_arrows,
            {"spaces.py": "if TYPE_CHECKING:\n    import jko.flows"},
            "imports jko.flows;",
        ),
        (
            strangers,
            {"flows.py": "def f():\n    import ot.lp"},
            "imports ot, which belongs in metrics",
        ),
        (
            strangers,
            {"steps/lbfgs.py": "import cvxpy as cp"},
            "cvxpy, which belongs in steps.conic",
        ),
        (strangers, {"flows.py": "from sklearn import datasets"}, "imports sklearn"),
        (strangers, {"cli.py": "from matplotlib import pyplot"}, "imports matplotlib"),
        (strangers, {"flows.py": "import pandas"}, "declare it in pyproject.toml"),
        (
            forbidden_paths,
            {
                "limits/ode.py": "import jko.storage",
                "storage.py": "import jko.steps",
                "steps/__init__.py": "",
            },
            "limits.ode -> storage -> steps",
        ),
        (
            circles,
            {"spaces.py": "import jko.checks", "checks.py": "import jko.spaces"},
            "spaces -> checks",
        ),
        (
            circles,
            {"flows.py": "import jko.schemes", "schemes.py": "def f():\n    from .flows import g"},
            "flows -> schemes -> flows",
        ),
        (
            circles,
            {"steps/__init__.py": "from .a import f", "steps/a.py": "from jko.steps import f"},
            "steps -> steps.a -> steps",
        ),
        (
            circles,
            {
                "steps/a.py": "from jko.steps.b import B",
                "steps/b.py": "if TYPE_CHECKING:\n    from jko.steps.a import A",
            },
            "steps.a -> steps.b -> steps.a",
        ),
    ],
)
def test_a_broken_rule_is_named(tmp_path, rule, files, sentence):
    assert sentence in "\n".join(rule(_written(tmp_path, files)))


@pytest.mark.parametrize(
    "files",
    [
        {
            "__init__.py": "from jko.spaces import Box",
            "spaces.py": "from jko import checks",
            "checks.py": "",
        },
        {
            "steps/__init__.py": "from jko.steps.a import A",
            "steps/a.py": "from jko.steps.b import B\nfrom jko.metrics import C",
            "steps/b.py": "from jko.steps.unwritten import U\nif TYPE_CHECKING:\n    import jko.spaces",
        },
        {
            "observers.py": "from jko.steps.result import R",
            "steps/result.py": "",
            "steps/__init__.py": "",
        },
        {
            "metrics/exact.py": "def f():\n    import ot",
            "metrics/__init__.py": "import jko.metrics.exact",
        },
    ],
)
def test_a_kept_rule_is_quiet(tmp_path, files):
    jko = _written(tmp_path, files)
    assert [sentence for rule in RULES for sentence in rule(jko)] == []


def _written(folder: Path, files: dict[str, str]) -> Package:
    for name, text in files.items():
        path = folder / "jko" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Package(folder / "jko")
