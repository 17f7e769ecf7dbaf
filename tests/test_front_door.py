"""The front door: at most 75 names, each where its table says, loaded when first used; old names work and warn."""

import ast
import pickle
import pkgutil
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import jko
import jko.plots

ROOT = Path(jko.__file__).parents[1]
LAZY = (jko, jko.plots)
HOMES = [
    (package, home, name)
    for package in LAZY
    for home, names in package._HOMES.items()
    for name in names.split()
]


def ran(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_door_is_narrow():
    assert len(jko.__all__) <= 75
    assert len(set(jko.__all__)) == len(jko.__all__)


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_tab_shows_what_is_public_and_nothing_else(package):
    assert dir(package) == sorted(package.__all__)


@pytest.mark.parametrize(
    ("package", "home", "name"), HOMES, ids=lambda part: getattr(part, "__name__", part)
)
def test_a_name_lives_where_the_table_says(package, home, name):
    if home == package.__name__:
        assert getattr(package, name) is import_module(f"{home}.{name}")
        return
    module = import_module(home)
    assert getattr(package, name) is getattr(module, name)
    assert name in getattr(module, "__all__", [name])


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_type_checkers_read_the_same_table(package):
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    assert all(alias.asname == alias.name for node in imports for alias in node.names)
    read = {(node.module, alias.name) for node in imports for alias in node.names}
    assert read == {(home, name) for p, home, name in HOMES if p is package}


@pytest.mark.parametrize("package", LAZY, ids=lambda package: package.__name__)
def test_no_module_hides_a_name(package):
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    own = package._HOMES.get(package.__name__, "").split()
    assert modules & set(package.__all__) == set(own)


def test_importing_loads_nothing():
    loaded = (
        "sorted(name for name in sys.modules if name.split('.')[0] in ('jko', 'numpy', 'torch'))"
    )
    assert ran(f"import sys, jko; print({loaded})") == str(["jko", "jko.deprecation", "jko.lazy"])


@pytest.mark.parametrize("command", ["--help", "train --help", "validate --help", "--version"])
def test_help_loads_no_numerics(command):
    code = (
        f"import sys\nfrom jko.cli import main\ntry:\n    main({command.split()})\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'scipy', 'torch') if m in sys.modules])"
    )
    assert ran(code).splitlines()[-1] == "[]"


def test_a_star_import_brings_all_and_no_matplotlib():
    code = (
        "import sys, jko\nfrom jko import *\nfrom jko.plots import RED\n"
        "print(all(name in globals() for name in jko.__all__), 'matplotlib' in sys.modules)"
    )
    assert ran(code) == "True False"


def test_every_module_is_an_attribute_of_the_package():
    code = "import jko; print(jko.steps.natural_solver.__name__, jko.flows.flow is jko.flow)"
    assert ran(code) == "natural_solver True"


def test_the_flow_stays_the_function_whatever_is_imported():
    code = "import jko.flows, jko.steps.step, jko.limits, jko; print(jko.flow.__name__, jko.step.__name__)"
    assert ran(code) == "flow step"


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'jko' has no attribute 'wasserstein'"):
        jko.wasserstein  # noqa: B018
    assert not hasattr(jko, "__path_to_nothing__")


@pytest.mark.parametrize(("name", "path"), sorted(jko._FORMER.items()))
def test_an_old_name_works_and_names_its_new_place(name, path):
    assert name not in jko.__all__
    module, _, now = path.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"jko.{name} is now {path}; ") as said:
        assert getattr(jko, name) is getattr(import_module(module), now)
    assert said[0].filename == __file__
    assert now in getattr(import_module(module), "__all__", [now])


def test_a_name_of_before_the_move_is_imported_too():
    with pytest.warns(DeprecationWarning, match=r"jko\.decay is now jko\.diagnostics\.decay"):
        from jko import decay
    assert decay is jko.diagnostics.decay


def test_classes_are_pickled_by_their_own_module():
    particles = jko.Particles([[1.0]])
    assert b"jko.measures" in pickle.dumps(type(particles))
    assert pickle.loads(pickle.dumps(jko.LBFGS())) == jko.LBFGS()


def test_nobody_in_the_repository_uses_an_old_name():
    files = [
        f for d in ("jko", "tests", "demos", "benchmarks", "docs") for f in (ROOT / d).rglob("*")
    ]
    texts = {
        file: file.read_text("utf-8")
        for file in [*files, ROOT / "README.md"]
        if file.suffix in (".py", ".md")
        and file.name not in (Path(__file__).name, "test_old_names.py")
    }
    old = re.compile(rf"\bjko\.({'|'.join(jko._FORMER)})\b")
    assert [
        f"{file}: {use.group()}" for file, text in texts.items() for use in old.finditer(text)
    ] == []
