"""The programs of docs/structure.md, word by word, each a file in an empty folder: they work outside the package."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch

import jko
from jko.testing import samples

PAGE = Path(__file__).parents[1] / "docs" / "structure.md"
PROGRAMS = {
    re.search(r"^class (\w+)", code, re.MULTILINE).group(1): code
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
}


def typed(name, folder):
    """What the file defines, once it has run with the check at its end."""
    path = folder / f"outside_{name.lower()}.py"
    path.write_text(PROGRAMS[name])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def test_the_page_has_one_of_each_kind_with_its_check():
    kinds = {"Mirrored": "state", "Centred": "energy", "Tsallis": "energy"}
    kinds |= {"Sliced": "metric", "FixedPoint": "solver"}
    assert PROGRAMS.keys() == kinds.keys()
    assert all(f"\ncheck_{kind}(" in PROGRAMS[name] for name, kind in kinds.items())


def test_the_state_flows_and_keeps_its_kind(tmp_path):
    Mirrored = typed("Mirrored", tmp_path)
    start = Mirrored([[1.0, 2.0], [3.0, -1.0]], [0.25, 0.75])
    run = jko.flow(jko.SquaredNorm(), start, tau=0.1, steps=2, solver=jko.LBFGS(tol=1e-12))
    assert type(run.final) is Mirrored
    assert run.final.half == pytest.approx(start.half / 1.1**2)


def test_the_energy_has_the_step_of_its_closed_form(tmp_path):
    c, mu = torch.tensor([1.0, -1.0]).double(), samples.cloud(2)
    E = typed("Centred", tmp_path)(c)
    found = jko.step(E, mu, tau=0.5, solver=jko.LBFGS(tol=1e-12))
    assert found.state.points == pytest.approx((mu.points + 0.5 * c) / 1.5)


@pytest.mark.parametrize("q", [1.5, 2.0, 3.0])
def test_the_internal_energy_is_known_to_the_solvers_of_densities(tmp_path, q):
    """``int (rho^q - rho) / (q - 1)`` is q times the porous medium's energy, up to a constant."""
    U, ours = typed("Tsallis", tmp_path)(q), q * jko.PorousMedium(q)
    grid = jko.Grid((-3.0, 3.0), 24)
    rho = jko.GridDensity.from_function(grid, lambda x: (-(x[:, 0] ** 2)).exp())
    V = jko.SquaredNorm()
    for start in (rho, jko.LineMesh.from_density(rho)):
        one, other = (jko.step(E + V, start, tau=0.1) for E in (U, ours))
        assert one.state.support == pytest.approx(other.state.support, abs=1e-4)
        assert one.state.weights == pytest.approx(other.state.weights, abs=1e-4)


def test_the_metric_is_taken_by_every_verb(tmp_path):
    metric = typed("Sliced", tmp_path)(torch.eye(2).double())
    a, b = (samples.cloud(2, turn, equal=True) for turn in (0, 1))
    assert jko.distance(a, b, metric=metric).value > 0
    assert jko.geodesic(a, b, 0.5, metric=metric).N == a.N
    assert jko.flow(jko.SquaredNorm(), a, tau=0.1, steps=2, metric=metric).stalled == 0


@pytest.mark.parametrize("domain", [None, jko.Ball([0.0, 0.0], 3.0)])
def test_the_solver_makes_the_steps_of_another(tmp_path, domain):
    solver = typed("FixedPoint", tmp_path)()
    E = jko.Potential(lambda z: -z[:, 0] + 0.1 * (z**4).sum(-1))
    mu = samples.cloud(2)
    mu = mu if domain is None else jko.Particles(domain.project(mu.points), mu.weights, domain)
    one, other = (jko.step(E, mu, tau=0.2, solver=s) for s in (solver, jko.LBFGS(tol=1e-9)))
    assert one.state.points == pytest.approx(other.state.points, abs=1e-7)
    assert one.coupling.optimal
