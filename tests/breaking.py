"""Ways to break the library a little: one function or method is off by a percent, wherever its name was imported."""

import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor

import jko
import jko.limits
from jko import exact
from jko.energies import Energy, Internal
from jko.limits.systems import System
from jko.networks import Ridge


class Off:
    """A result whose numbers are off; what is no number is handed on."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __getattr__(self, name: str) -> Any:
        return off(getattr(self._result, name))

    def __call__(self, *arguments: Any) -> Any:
        return off(self._result(*arguments))

    def __iter__(self):
        return iter(off(part) for part in self._result)


def off(value: Any) -> Any:
    """The same, wrong by one percent and a little more, so that zeros are wrong too."""
    if isinstance(value, bool | str | type(None)):
        return value
    if isinstance(value, float) or (
        isinstance(value, np.ndarray | Tensor)
        and str(value.dtype).rpartition(".")[2][:5] == "float"
    ):
        return 1.01 * value + 0.01
    if isinstance(value, int | np.ndarray | Tensor):
        return value
    if isinstance(value, jko.Trajectory):
        late = value.states[0], *map(displaced, value.states[1:])
        return replace(
            value, states=late, energies=value.energies * np.linspace(1, 1.01, len(value.energies))
        )
    return displaced(value)


def displaced(state: Any) -> Any:
    """A state that is a little elsewhere, or heavier; results with numbers are off."""
    if isinstance(state, jko.Particles):
        return jko.Particles.of(1.01 * state.points + 0.01, state.weights)
    if isinstance(state, jko.ChargedParticles):
        return jko.ChargedParticles(1.01 * state.theta + 0.01, 1.01 * state.H, state.weights)
    if isinstance(state, jko.LineMesh):
        return jko.LineMesh(1.01 * state.edges + 0.01, state.masses)
    if isinstance(state, jko.ChargedDensity):
        return jko.ChargedDensity(state.grid, _tilted(state), 1.01 * state.H)
    if isinstance(state, jko.GridDensity):
        return jko.GridDensity(state.grid, _tilted(state))
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*map(off, state))
    return Off(state)


def _tilted(state: Any) -> Tensor:
    """Its values, the last cell heavier by one percent than the first."""
    tilt = torch.linspace(1, 1.01, state.values.numel(), dtype=torch.float64)
    values = state.values * tilt.reshape(state.values.shape)
    return values / (values.sum() * state.grid.cell)


@contextmanager
def function(home: Any, name: str, change: Callable[[Any], Any] = off):
    """A function of the library with its results changed, in every module of the library that holds it."""
    original = getattr(home, name)

    def wrong(*arguments: Any, **options: Any) -> Any:
        return change(original(*arguments, **options))

    holders = [m for key, m in sys.modules.items() if key.split(".")[0] == "jko"]
    held = [m for m in holders if vars(m).get(name) is original]
    for module in held:
        setattr(module, name, wrong)
    try:
        yield
    finally:
        for module in held:
            setattr(module, name, original)


@contextmanager
def method(kind: type, name: str, change: Callable[[Any], Any] = off):
    """A method of a class, and where its subclasses write their own, with its results changed."""
    kinds = [kind, *_below(kind)]
    originals = [(k, vars(k)[name]) for k in kinds if name in vars(k)]
    for k, original in originals:
        setattr(k, name, _changed(original, change))
    try:
        yield
    finally:
        for k, original in originals:
            setattr(k, name, original)


def _below(kind: type) -> list[type]:
    return [k for child in kind.__subclasses__() for k in (child, *_below(child))]


def _changed(original: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    def wrong(*arguments: Any, **options: Any) -> Any:
        return change(original(*arguments, **options))

    wrong.__isabstractmethod__ = getattr(original, "__isabstractmethod__", False)
    return wrong


def _wrong_slope(found: tuple[Any, ...]) -> tuple[Any, ...]:
    return (found[0], *((lambda f=f: 1.01 * f()) for f in found[1:]))


def _wrong_gradient(found: Any) -> Any:
    return found._replace(gradient=off(found.gradient))


class Squared(Off):
    """A distance that forgot the root."""

    def __getattr__(self, name: str) -> Any:
        square = self._result.squared
        return {"value": square, "squared": square**2}.get(name, getattr(self._result, name))


def _elsewhere(run: jko.Trajectory) -> jko.Trajectory:
    """Runs of less than a thousand neurons end elsewhere, so that errors have a floor."""
    shift = 0.5 if len(run.final.weights) < 1000 else 0.0
    states = (jko.Particles.of(s.points + shift, s.weights) for s in run.states[1:])
    return replace(run, states=(run.states[0], *states))


def _heavy(run: jko.Trajectory) -> jko.Trajectory:
    """Every number of the last state on a grid is off, its mass among them."""
    on_grid = isinstance(run.final, jko.ChargedDensity)
    return replace(run, states=(*run.states[:-1], Off(run.final))) if on_grid else run


def _grids(run: jko.Trajectory) -> jko.Trajectory:
    """Only solutions on grids are off, not those along characteristics."""
    return off(run) if isinstance(run.final, jko.ChargedDensity) else run


def _home(name: str) -> Any:
    places = ("metrics", "diagnostics", "diagnostics.convergence", "flows", "steps")
    homes = (import_module(f"jko.{place}") for place in places)
    return next(home for home in homes if hasattr(home, name))


@contextmanager
def both(*managers: Any):
    """Several at once."""
    with managers[0]:
        if managers[1:]:
            with both(*managers[1:]):
                yield
        else:
            yield


RESULTS = (
    *(
        "distance",
        "geodesic",
        "action",
        "least_action",
        "flow_distance",
        "convergence",
        "decomposition",
    ),
    *("best_particles", "optimality", "stationarity", "stationary", "motion", "decay", "fold_free"),
    *("dissipation", "flow", "step"),
)
BREAKS: dict[str, Callable[[], Any]] = {
    **{name: (lambda name=name: function(_home(name), name)) for name in RESULTS},
    **{
        name: (lambda name=name: function(jko.limits, name))
        for name in ("wasserstein", "sgd", "hierarchy", "moment_rate")
    },
    "squared distance": lambda: function(jko.metrics, "distance", Squared),
    "small networks": lambda: function(jko.limits, "wasserstein", _elsewhere),
    "samples": lambda: function(jko.limits, "sgd", _elsewhere),
    "twice the risk": lambda: method(jko.Risk, "__call__", lambda value: 2 * value),
    "mass": lambda: method(System, "__call__", _heavy),
    "exact": lambda: both(*(function(exact, name) for name in exact.__all__)),
    "system": lambda: method(System, "__call__"),
    "grids": lambda: method(System, "__call__", _grids),
    "rate": lambda: method(System, "rate"),
    "predict": lambda: method(jko.Risk, "predict"),
    "L": lambda: method(jko.Risk, "L"),
    "risk": lambda: method(jko.Risk, "__call__"),
    "internal": lambda: method(Internal, "__call__"),
    "variation": lambda: method(Energy, "variation"),
    "gradient": lambda: both(
        method(Energy, "gradient"), method(Energy, "evaluate", _wrong_gradient)
    ),
    "signed": lambda: method(jko.ChargedParticles, "signed_measure"),
    "project": lambda: method(jko.Particles, "project", displaced),
    "slopes": lambda: method(Ridge, "_slopes", _wrong_slope),
}

#: what is broken, and the claims that must notice, by module and function
NOTICED = {
    "predict": """
        setting.network setting.prediction setting.functional setting.minimum_zero setting.convexity
        training.averaged measures.lift flows.expansion flows.first_variation flows.constants
        pairs.expansion
    """,
    "slopes": """
        setting.ridge setting.descent setting.stochastic_gradient setting.mean_of_the_potential
        setting.flow_of_atoms consistency.atoms_in_the_flow
    """,
    "risk": """
        setting.mixture_derivative regularised.half rest.variation_in_H
    """,
    "step": """
        consistency.splitting
    """,
    "best_particles": """
        training.best_networks
    """,
    "small networks": """
        training.neurons questions.uniform_in_time
    """,
    "optimality": """
        training.global_minimum regularised.proved
    """,
    "wasserstein": """
        training.dead_neurons flows.weak_form pairs.same_particles
    """,
    "flow": """
        training.reduced flows.no_flux metric.gradient_flow regularised.heat_equation
        regularised.porous_medium_equation regularised.constant_on_support regularised.smallest_on_support
        questions.two_layers
    """,
    "distance": """
        training.weak_limit metric.static metric.square_waves metric.ledger
    """,
    "signed": """
        measures.signed_measure
    """,
    "project": """
        measures.conditional_mean measures.jensen rest.moments_of_order_p
    """,
    "L": """
        flows.positive
    """,
    "dissipation": """
        flows.energy_dissipation pairs.proposition_general rest.not_strictly
    """,
    "stationarity": """
        flows.stationary_point
    """,
    "variation": """
        pairs.steepest_rho
    """,
    "system": """
        pairs.separated pairs.transported pairs.sign_of_lambda pairs.chaos questions.no_rest
    """,
    "grids": """
        pairs.cells
    """,
    "rate": """
        pairs.separated_dissipates pairs.separated_integral pairs.transported_rate pairs.transported_grows
        pairs.proposition regularised.literal_chaos regularised.transported_charge
        regularised.literal_separated regularised.literal_transported
    """,
    "moment_rate": """
        pairs.moments
    """,
    "hierarchy": """
        pairs.closure
    """,
    "squared distance": """
        metric.triangle
    """,
    "geodesic": """
        metric.swap
    """,
    "flow_distance": """
        metric.homeomorphic
    """,
    "action": """
        metric.translation metric.free_change
    """,
    "least_action": """
        metric.dynamic
    """,
    "internal": """
        regularised.entropy regularised.no_minimiser regularised.square regularised.many_stationary
    """,
    "stationary": """
        regularised.walls regularised.unique_minimiser
    """,
    "decomposition": """
        regularised.relative_entropy regularised.porous_identity questions.proximal_identity
    """,
    "exact": """
        regularised.compact_support questions.dissipation_ratio
    """,
    "decay": """
        questions.exponential_decay questions.porous_decay questions.two_rates questions.not_algebraic
        questions.rate_of_atoms
    """,
    "gradient": """
        rest.no_flux_of_moments
    """,
    "fold_free": """
        rest.folding
    """,
    "twice the risk": """
        consistency.sampling
    """,
    "samples": """
        training.samples
    """,
    "mass": """
        rest.push_forward
        pairs.walls
    """,
}
