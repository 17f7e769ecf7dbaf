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
from jko.energies.expansion import Expansion
from jko.limits.systems import System
from jko.networks import Ridge
from jko.networks.passes import SigmaPasses


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
    if isinstance(state, jko.measures.YoungMeasure):
        return state.placed(1.01 * state.points + 0.01)
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


def _wrong_back(found: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*found[:-1], 1.01 * found[-1])


def _wrong_gradient(found: Any) -> Any:
    return found._replace(gradient=off(found.gradient))


class Squared(Off):
    """A distance that forgot the root."""

    @property
    def __class__(self) -> type:  # what a geodesic asks of the metric is a Distance
        return type(self._result)

    def __getattr__(self, name: str) -> Any:
        square = self._result.squared
        return {"value": square, "squared": square**2}.get(name, getattr(self._result, name))


def _elsewhere(run: jko.Trajectory) -> jko.Trajectory:
    """Runs of less than a thousand neurons end elsewhere, so that errors have a floor."""
    shift = 0.5 if len(run.final.weights) < 1000 else 0.0
    states = (jko.Particles.of(s.points + shift, s.weights) for s in run.states[1:])
    return replace(run, states=(run.states[0], *states))


def _other_network(run: jko.Trajectory) -> jko.Trajectory:
    """Networks with two layers end elsewhere, whatever their sizes."""
    if not isinstance(run.final, jko.measures.TwoLayer):
        return run
    states = (s.placed(1.01 * s.atoms.points) for s in run.states[1:])
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
    *("variational", "energy_dissipation", "evi", "contraction"),
    *("best_particles", "optimality", "speed", "minimiser", "motion", "decay", "fold_free"),
    *("dissipation", "flow", "step", "mixture_slope", "disintegration", "smoothness"),
    *("spectral_gap", "proved_ratio", "dissipation_ratio", "lojasiewicz"),
)
BREAKS: dict[str, Callable[[], Any]] = {
    **{name: (lambda name=name: function(_home(name), name)) for name in RESULTS},
    **{
        name: (lambda name=name: function(jko.limits, name))
        for name in ("wasserstein", "sgd", "hierarchy", "moment_rate")
    },
    "squared distance": lambda: function(jko.metrics, "distance", Squared),
    "small networks": lambda: function(jko.limits, "wasserstein", _elsewhere),
    "two layers": lambda: function(jko.limits, "wasserstein", _other_network),
    "samples": lambda: function(jko.limits, "sgd", _elsewhere),
    "twice the risk": lambda: method(jko.Risk, "__call__", lambda value: 2 * value),
    "mass": lambda: method(System, "__call__", _heavy),
    "exact": lambda: both(*(function(exact, name) for name in exact.__all__)),
    "system": lambda: method(System, "__call__"),
    "grids": lambda: method(System, "__call__", _grids),
    "rate": lambda: method(System, "rate"),
    "predict": lambda: method(jko.Risk, "predict"),
    "L": lambda: method(Expansion, "L"),
    "risk": lambda: method(jko.Risk, "__call__"),
    "internal": lambda: method(Internal, "__call__"),
    "variation": lambda: method(Energy, "variation"),
    "gradient": lambda: both(
        method(Energy, "gradient"), method(Energy, "evaluate", _wrong_gradient)
    ),
    "signed": lambda: method(jko.ChargedParticles, "signed_measure"),
    "project": lambda: method(jko.Particles, "project", displaced),
    "slopes": lambda: both(
        method(Ridge, "_slopes", _wrong_slope), method(SigmaPasses, "backwards", _wrong_back)
    ),
}

#: what is broken, and the claims that must notice, by module and function
NOTICED = {
    "predict": """
        s21_networks.network s21_networks.prediction s21_networks.functional s21_networks.minimum_zero
        s21_networks.convexity
        s22_training.averaged s23_charges.lift s31_flow.expansion s31_flow.first_variation s31_flow.constants
        s32_evolutions.expansion s33_slopes.barrier
    """,
    "variational": """
        s33_slopes.maximal
    """,
    "energy_dissipation": """
        s33_slopes.first_order_slopes
    """,
    "evi": """
        s33_slopes.variational_inequality
    """,
    "contraction": """
        s33_slopes.parting
    """,
    "slopes": """
        s21_networks.ridge s21_networks.descent s21_networks.stochastic_gradient
        s21_networks.mean_of_the_potential
        s22_consistency.flow_of_atoms s22_consistency.atoms_in_the_flow
    """,
    "mixture_slope": """
        s21_networks.mixture_derivative
    """,
    "risk": """
        s43_minimisers.half s32_evolutions.variation_in_H s33_completion.relaxation
    """,
    "step": """
        s22_consistency.splitting s33_over_all_measures.leaves_the_saddle s33_over_all_measures.flow_stays
    """,
    "best_particles": """
        s22_training.best_networks
    """,
    "small networks": """
        s22_training.neurons s51_chaos.uniform_in_time s51_chaos.paths_of_neurons
    """,
    "spectral_gap": """
        s51_rates.covariance_at_rest s51_rates.porous_spectrum
    """,
    "proved_ratio": """
        s51_rates.sharp_at_rest
    """,
    "dissipation_ratio": """
        s51_rates.found_and_proved
    """,
    "lojasiewicz": """
        s51_rates.quartic
    """,
    "optimality": """
        s22_training.global_minimum s43_minimisers.proved
    """,
    "wasserstein": """
        s22_training.dead_neurons s31_flow.weak_form s33_chaos.same_particles
        s33_completion.stable s33_completion.projected
    """,
    "flow": """
        s22_training.reduced s31_flow.no_flux s33_metric.gradient_flow s41_entropy.heat_equation
        s42_porous.porous_medium_equation s43_minimisers.constant_on_support
        s43_minimisers.smallest_on_support
        s52_layers.two_layers s33_schemes.second_order s33_schemes.never_rises s33_schemes.overshoot
    """,
    "distance": """
        s22_training.weak_limit s33_slopes.errors s33_metric.static s33_metric.square_waves s33_metric.ledger
        s33_completion.waves_and_limit s33_completion.flows_of_waves
    """,
    "disintegration": """
        s23_disintegration.of_a_density s23_disintegration.by_cells
    """,
    "signed": """
        s23_charges.signed_measure
    """,
    "project": """
        s23_charges.conditional_mean s23_charges.jensen s23_charges.moments_of_order_p
    """,
    "L": """
        s31_flow.positive
    """,
    "dissipation": """
        s31_flow.energy_dissipation s33_chaos.proposition_general s33_chaos.not_strictly
    """,
    "speed": """
        s31_flow.stationary_point
    """,
    "variation": """
        s32_evolutions.steepest_rho
    """,
    "system": """
        s42_regularised_pairs.averaged_chaos
        s32_evolutions.separated s32_evolutions.transported s32_evolutions.sign_of_lambda s33_chaos.chaos
        s51_systems.no_rest
    """,
    "grids": """
        s33_chaos.cells
    """,
    "rate": """
        s32_evolutions.separated_dissipates s32_evolutions.separated_integral s32_evolutions.transported_rate
        s32_evolutions.transported_grows
        s33_chaos.proposition s42_regularised_pairs.literal_chaos s42_regularised_pairs.transported_charge
        s42_regularised_pairs.literal_separated s42_regularised_pairs.literal_transported
    """,
    "moment_rate": """
        s33_chaos.moments
    """,
    "hierarchy": """
        s33_chaos.closure
    """,
    "squared distance": """
        s33_metric.triangle
    """,
    "geodesic": """
        s33_metric.swap
    """,
    "flow_distance": """
        s33_metric.homeomorphic
    """,
    "action": """
        s33_metric.translation s33_metric.free_change
    """,
    "least_action": """
        s33_metric.dynamic
    """,
    "internal": """
        s41_entropy.entropy s41_entropy.no_minimiser s42_porous.square s42_porous.many_stationary
    """,
    "minimiser": """
        s41_entropy.walls s41_entropy.unique_minimiser s33_over_all_measures.global_training
    """,
    "decomposition": """
        s41_entropy.relative_entropy s42_porous.porous_identity s51_convergence.proximal_identity
    """,
    "exact": """
        s42_porous.compact_support s51_gaussian.dissipation_ratio s33_completion.steep
        s41_gaussians.gaussian_closure s41_gaussians.gaussian_step s41_gaussians.gaussian_order
    """,
    "decay": """
        s51_gaussian.exponential_decay s51_convergence.porous_decay s51_systems.two_rates
        s51_gaussian.not_algebraic
        s51_convergence.rate_of_atoms
    """,
    "gradient": """
        s33_chaos.no_flux_of_moments
    """,
    "smoothness": """
        s51_smoothness.density
    """,
    "fold_free": """
        s51_systems.folding
    """,
    "twice the risk": """
        s22_consistency.sampling
    """,
    "two layers": """
        s52_kernels.kernels
    """,
    "samples": """
        s22_training.samples
    """,
    "mass": """
        s32_evolutions.push_forward
        s33_chaos.walls
    """,
}
