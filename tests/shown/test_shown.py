"""What prompts and notebooks show: a line of at most 100 characters, and HTML that is whole and escaped."""

import inspect
import re
from dataclasses import dataclass
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

import jko
from jko.shown import LIMIT, Shown, short, shown
from jko.shown.svg import curve, dots, image
from jko.testing import samples
from tests import registry


class Whole(HTMLParser):
    """Every element is closed in order; what it says, without tags."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.tags = [], "", []
        self.feed(html)
        self.close()
        assert self.open == [], html

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def public_classes():
    modules = [jko, *(getattr(jko, name) for name in MODULES)]
    found = {
        getattr(module, name): None
        for module in modules
        for name in module.__all__
        if inspect.isclass(getattr(module, name))
    }
    return [kind for kind in found if not issubclass(kind, BaseException)]


MODULES = [name for name in jko.__all__ if inspect.ismodule(getattr(jko, name))]
#: public classes that are no objects of their own, or of torch, which shows them
OTHERS = {"JKO", "Status", "Proof", "Form", "Falls"}


def example(makes):
    made = makes()
    return made[0] if isinstance(made, tuple) and not hasattr(made, "_asdict") else made


def results():
    """One of everything that questions give back."""
    mu, F = samples.cloud(2, equal=True), registry.risk() + 0.1 * jko.SquaredNorm()
    start = samples.cloud(3, equal=True)
    run = jko.flow(F, start, tau=0.5, steps=4)
    free = jko.Potential(registry.bowl) + 0.3 * jko.Entropy()
    rho = samples.bump(2)
    least = jko.minimiser(free, rho.grid)
    pairs = [samples.pair(1, turn) for turn in range(2)]
    moments = jko.limits.Moments.of_pair(registry.charged_density(), 2)
    yield from (run, run.final, jko.step(F, start, tau=0.5).coupling, jko.step(F, start, tau=0.5))
    yield from (
        jko.step(F, start, tau=0.5).problem,
        jko.step(F, start, tau=0.5, solver=jko.LBFGS.training()),
    )
    yield from (jko.step(F, start, tau=0.5).certificate(), least, jko.optimality(free, least.state))
    yield from (jko.distance(mu, samples.cloud(2, 1)), jko.distance(*pairs).plan)
    yield from (jko.metrics.least_action(*pairs), jko.metrics.squared_gradient(*pairs))
    yield jko.metrics.SinkhornDivergence(1.0).distance(mu, samples.cloud(2, 1, equal=True))
    yield jko.metrics.barycentre([samples.cloud(2, turn) for turn in range(2)])
    yield jko.diagnostics.best_particles(F, start)
    yield jko.diagnostics.decay(np.arange(9.0), np.exp(-np.arange(9.0)))
    yield jko.diagnostics.dissipation_identity(F, run)
    yield jko.diagnostics.step_identity(F, run)
    yield jko.convergence(lambda tau: jko.Particles([[tau]]), jko.Particles([[0.0]]), [0.1, 0.05])
    yield from (moments, jko.limits.hierarchy(jko.SquaredNorm(), moments, t1=0.1))
    yield from (jko.limits.chaos, jko.limits.wasserstein(jko.SquaredNorm(), mu, t1=0.1))
    yield from (jko.Progress(), jko.SteadyState(0.1), jko.observers.Record(print), jko.Stop(print))
    yield from (jko.observers.Conserved(torch.sum), jko.Implicit(), jko.SDIRK2(), jko.Strang())
    yield from (jko.BDF2(), jko.ZEG(), jko.Midpoint())
    yield from (registry.DATA, jko.Ridge(torch.tanh), jko.GaussianBump(), rho.grid)
    yield from (jko.Box([0.0] * 30, [1.0] * 30), jko.Ball([0.0] * 30, 1.0))
    yield from (jko.spaces.Convex(lambda x: x), jko.spaces.Cylinder(jko.Ball([0.0], 1.0)))


def check(thing):
    line, html = repr(thing), thing._repr_html_()
    assert len(line) <= LIMIT == 100
    assert "\n" not in line
    assert not re.search(r"(tensor|array)\(", line), line
    assert " at 0x" not in line + html
    page = Whole(html)
    assert page.text.strip()
    assert len(html) < 100_000


TABLES = (registry.STATES, registry.ENERGIES, registry.METRICS, registry.SOLVERS)
EXAMPLES = {kind.__name__: makes for table in TABLES for kind, makes in table.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_class_shows_itself_in_a_line_and_in_whole_html(name):
    check(example(EXAMPLES[name]))


def test_what_questions_give_back_shows_itself():
    for thing in results():
        check(thing)


def test_every_public_class_shows_itself():
    silent = [
        kind.__name__
        for kind in public_classes()
        if kind.__name__ not in OTHERS
        and not getattr(kind, "_is_protocol", False)
        and not hasattr(kind, "_repr_html_")
    ]
    assert silent == []


def test_every_public_class_has_the_line_of_the_ground_layer():
    """A dataclass would write one of its own over it, with all its data."""
    own = [
        kind.__name__
        for kind in public_classes()
        if hasattr(kind, "_repr_html_")
        and "dataclass" in getattr(kind.__repr__, "__qualname__", "")
    ]
    assert own == []
    assert all(
        kind.__repr__ is Shown.__repr__ for kind in public_classes() if issubclass(kind, Shown)
    )


def test_energies_read_as_their_formula():
    F = registry.risk() + 1e-4 * jko.SquaredNorm() - 2 * (jko.Entropy() + jko.PorousMedium(2))
    assert repr(F) == (
        "Risk(tanh, M=4, n=1) + 0.0001 SquaredNorm() - 2 (Entropy() + PorousMedium(2))"
    )
    assert repr(-jko.Entropy()) == "-Entropy()"
    assert F._repr_html_().count("<tr") == 4  # a row for each term, and one for convexity


def test_solvers_show_what_was_changed():
    assert repr(jko.LBFGS()) == "LBFGS()"
    assert repr(jko.LBFGS(tol=1e-4)) == "LBFGS(tol=0.0001)"
    assert "max_iterations" in jko.LBFGS()._repr_html_()


def test_other_peoples_classes_get_both_for_nothing():
    @dataclass(frozen=True)
    class Weighted(jko.Energy):
        c: torch.Tensor
        strength: float = 1.0

        def __call__(self, state):
            return state.integrate(state.atoms.points @ self.c)

        def variation(self, state, at=None):
            return (state.atoms.points if at is None else at) @ self.c

    class Plain(jko.Metric):
        def __init__(self, knobs):
            self.knobs = knobs

        def cost(self, state, base): ...

        def distance(self, a, b): ...

    class Mine(jko.Particles):
        pass

    assert repr(Weighted(torch.zeros(50))) == "Weighted(c=50 array)"
    assert repr(2 * Weighted(torch.zeros(2), 3.0)) == "2 Weighted(c=[0, 0], strength=3)"
    assert repr(Plain(list(range(100)))) == "Plain(knobs=[0, 1, 2, 3, ... 100 in all])"
    assert repr(Mine([[0.0]])) == "Mine(N=1, dim=1, weights=equal)"
    for thing in (Weighted(torch.zeros(50)), Plain([1]), Mine([[0.0]])):
        Whole(thing._repr_html_())


def test_text_is_escaped():
    class Odd(Shown):
        def __init__(self):
            self.name = "<script>alert(1)</script> & \"'"

    Odd.__name__ = "<b>Odd</b>"
    page = Whole(Odd()._repr_html_())
    assert "script" not in page.tags
    assert "b" not in page.tags
    assert "<script>alert(1)</script> & \"'" in page.text


def test_a_line_never_asks_for_what_is_worked_out_on_request():
    result = jko.step(jko.SquaredNorm(), samples.cloud(2), tau=0.1, solver=jko.LBFGS(examine=False))
    assert "NOT_EXAMINED" in repr(result)
    result._repr_html_(), repr(result.coupling), result.coupling._repr_html_()
    assert result.coupling.known.proof.name == "NOT_EXAMINED"


def test_named_tuples_show_themselves_and_stay_tuples():
    escape = jko.exact.NormalLaw(torch.zeros(20), torch.eye(20))
    assert repr(escape).startswith("NormalLaw(")
    assert "20x20 array" in repr(escape)
    assert len(escape) == 2

    @shown
    class Two(tuple):
        def _asdict(self):
            return {"a": self[0], "b": self[1]}

    assert repr(Two((1, 2.5))) == "Two(a=1, b=2.5)"
    Whole(Two((1, 2))._repr_html_())


@pytest.mark.parametrize(
    "value", [None, True, 3, 2.0**0.5, "text", [1, 2], {"a": 1}, torch.relu, {1, 2}]
)
def test_values_are_short(value):
    assert 0 < len(short(value)) <= 60


def test_small_pictures_are_whole_and_leave_out_what_is_not_finite():
    x = np.linspace(0, 1, 5000)
    assert Whole(curve(x, np.where(x < 0.1, np.inf, x), "c & d")).tags[0] == "svg"
    assert curve(x, x, "long").count(",") <= 401
    assert curve(x[:3], [np.inf, 1.0, np.nan], "one point") == ""
    assert dots([np.nan], [1.0], "none") == ""
    assert "inf" not in curve(x, np.log(x[::-1] + 1e-300), "x", log=True)
    assert "nan" not in dots(x, x, "")
    assert image(np.zeros((3, 3)), "nothing") == ""


def test_an_image_is_a_png_that_others_read():
    import base64
    import io

    from matplotlib.image import imread

    values = np.array([[0.0, 1.0, 0.5], [0.25, 0.0, 0.0]])  # x to the right, y upwards
    data = re.search(r"base64,([^\"]+)", image(values, "v"))[1]
    pixels = imread(io.BytesIO(base64.b64decode(data)))
    assert pixels.shape == (3, 2, 4)
    np.testing.assert_allclose(pixels[:, :, 3], values.T[::-1], atol=1 / 255)
