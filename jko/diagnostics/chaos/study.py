"""Propagation of chaos, measured: N atoms drawn from a law, and where infinitely many would be."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jko import checks
from jko.diagnostics.chaos.result import ChaosStudy
from jko.energies import Energy, sorted_terms, value_of
from jko.limits.particles import wasserstein
from jko.measures import Particles, State
from jko.metrics import Wasserstein

Array = NDArray[np.float64]
Law = Callable[[int, torch.Generator], Particles] | State
Report = Callable[[str], object]

LARGE = 16  # times the largest number of atoms: the reference
FEWEST = 8  # repeats that an interval needs


@dataclass(frozen=True, eq=False)
class Observable:
    """What is compared: a function of the state to (m,), and the weights (m,) of the norm."""

    function: Callable[[Any], Any]
    weights: Array

    @classmethod
    def of(cls, energy: Energy, observe: Callable[[Any], Any] | None) -> Observable:
        """What was given, else the predictions of the risk in L2(D)."""
        if observe is not None:
            checks.function("observe", observe, hint="it takes a state and gives back numbers (m,)")
            return cls(observe, np.ones(1))
        risks = sorted_terms(energy).risks
        if len(risks) != 1:
            raise ValueError(
                f"the energy has {len(risks)} risks, so that it is not clear what to compare: pass observe=, a "
                "function of the state, such as lambda mu: mu.mean()"
            )
        risk = risks[0][1]
        return cls(
            lambda state: risk.predict(state).reshape(-1), risk.data.quadrature.cpu().numpy()
        )

    def __call__(self, state: State) -> Array:
        """(m,)."""
        with torch.no_grad():
            return _numbers(self.function(state))

    def norm(self, difference: Array) -> float:
        """``(sum_m q_m d_m^2)^{1/2}``."""
        return float((self.weights * difference**2).sum()) ** 0.5


def chaos_study(
    energy: Energy,
    law: Law,
    *,
    sizes: Sequence[int],
    times: Sequence[float] | Array,
    repeats: int = 20,
    reference: int | Particles | None = None,
    exact: Callable[[float], Any] | None = None,
    observe: Callable[[Any], Any] | None = None,
    transport: bool = False,
    goal: float | None = None,
    seed: int = 0,
    rtol: float = 1e-6,
    report: Report | None = None,
) -> ChaosStudy:
    """Flows of N atoms drawn from a law against the flow of the law itself: exponents in N with intervals.

    In each repeat one sample is drawn, whose first N atoms are the start for every N, so that sizes are coupled.  Its
    atoms also move, without mass, in the field of the reference: these are the paths that atoms would have in the
    limit, and the distance of the two is what theorems on propagation of chaos bound by ``C(t) / sqrt(N)``.

    Parameters
    ----------
    energy : Energy
        F, finite on atoms.
    law : callable or state
        (N, generator) -> Particles, N independent atoms of equal weights; or a state with ``sample``, such as a
        normal law.
    sizes : (S,)
        Numbers of atoms, increasing, two at least.
    times : (K,)
        When to compare, increasing; the supremum over t is over these.
    repeats
        Independent samples, eight at least: intervals are over them.
    reference : int or Particles, optional
        The start of the reference: how many atoms, default 16 times the largest size, or a quadrature of the law.
    exact : callable, optional
        t -> what the limit's outputs are, (m,), where that is known.
    observe : callable, optional
        state -> numbers (m,), to be compared in the Euclidean norm; default the predictions of the risk in L2(D).
    transport : bool
        Whether W2 to the reference is computed too, at three times: some tenths of a second each.
    goal : float, optional
        An energy; then the study says how often it is reached at the last time.
    seed
        Of all samples.
    rtol
        Of the flows, :func:`jko.limits.wasserstein`.
    report : callable, optional
        Told in a line after each repeat, such as ``print``.

    Returns
    -------
    ChaosStudy
        Errors by repeat, size and time; their exponents with intervals at 95 %, by bootstrap over the repeats.

    Raises
    ------
    ValueError
        Fewer than eight repeats or two sizes; a law that gives another number of atoms, or other weights.

    Notes
    -----
    Source: survey 3.3, 5.1.  The error of the reference is in all repeats the same, so that intervals do not show it:
    it is about ``sqrt(N / n)`` of that of N atoms, n those of the reference.

    Examples
    --------
    >>> import jko, numpy as np
    >>> F = jko.Interaction(lambda z: 0.5 * z[:, 0] ** 2)  # every atom towards the mean
    >>> law = lambda N, generator: jko.Particles.normal(N, 1, generator=generator)
    >>> study = jko.diagnostics.chaos_study(
    ...     F, law, sizes=[10, 40], times=[0.0, 1.0], repeats=8,
    ...     observe=lambda mu: mu.mean(), exact=lambda t: [0.0],
    ... )  # fmt: skip
    >>> study.order.excludes(0, 1)
    True
    """
    checks.kind("energy", energy, Energy)
    N, t = _sizes(sizes), _times(times)
    checks.count("repeats", repeats, least=FEWEST)
    observed = Observable.of(energy, observe)
    samples = [drawn(law, N[-1], _generator(seed + 1 + r)) for r in range(repeats)]
    start = _reference(law, reference, N[-1], seed)
    limit = Limit.of(energy, start, samples, t, rtol, observed, exact)
    apart = sorted({0, len(t) // 2, len(t) - 1}) if transport else []
    found: list[list[Compared]] = []
    for r, sample in enumerate(samples):
        runs = [_run(energy, _first(sample, n), t, rtol) for n in N]
        found.append([limit.compared(states, r, observed, apart) for states in runs])
        if report is not None:
            worst = max(found[-1][-1].outputs)
            report(f"repeat {r + 1} of {repeats}: sup |f_N - f| = {worst:.4g} for N = {N[-1]}")
    outputs, paths, distances = (
        np.array([[run[k] for run in row] for row in found]) for k in range(3)
    )
    return ChaosStudy(
        sizes=np.array(N),
        times=t,
        outputs=outputs,
        paths=paths,
        distances=distances if transport else None,
        energies=np.array([[value_of(energy, run.end) for run in row] for row in found]),
        distance_times=t[apart],
        reference=start.N,
        exact=exact is not None,
        goal=math.nan if goal is None else checks.number("goal", goal),
    )


def _sizes(sizes: Any) -> list[int]:
    N = [checks.count(f"sizes[{k}]", n) for k, n in enumerate(checks.items("sizes", sizes))]
    if len(N) < 2 or sorted(set(N)) != N:
        raise ValueError(f"sizes = {N}; at least two are needed, increasing")
    return N


def _times(times: Any) -> Array:
    t: Array = checks.shape("times", checks.floats("times", times), ("K",)).numpy()
    if len(t) < 2 or t[0] < 0 or (np.diff(t) <= 0).any():
        raise ValueError("times must be two at least, and increase from 0 or later")
    return t


class Compared(NamedTuple):
    """N atoms beside the limit: errors of outputs (K,), of paths (K,), distances (J,), and where they end."""

    outputs: Array
    paths: Array
    distances: Array
    end: Particles


@dataclass(frozen=True, eq=False)
class Limit:
    """The flow of the reference with the atoms of all samples in its field: at each time its state, outputs, and paths.

    ``tracers[k]`` has the shape (R, N, dim).
    """

    cores: list[Particles]
    outputs: list[Array]
    tracers: list[Array]

    @classmethod
    def of(
        cls,
        energy: Energy,
        start: Particles,
        samples: list[Particles],
        times: Array,
        rtol: float,
        observed: Observable,
        exact: Callable[[float], Any] | None,
    ) -> Limit:
        """By one flow, in which the atoms of the samples have no mass."""
        states = _run(energy, _with_tracers(start, samples), times, rtol)
        shape = (len(samples), samples[0].N, samples[0].dim)
        tracers = [_numbers(state.points[start.N :]).reshape(shape) for state in states]
        cores = [
            Particles.of(state.points[: start.N], start.weights, start.domain) for state in states
        ]
        if exact is None:
            return cls(cores, [observed(mu) for mu in cores], tracers)
        return cls(cores, [_numbers(exact(float(s))) for s in times], tracers)

    def compared(
        self, states: list[Particles], r: int, observed: Observable, apart: list[int]
    ) -> Compared:
        """The flow of the first N atoms of sample r beside it."""
        N = states[0].N
        errors = [
            observed.norm(observed(mu) - f) for mu, f in zip(states, self.outputs, strict=True)
        ]
        moves = [
            _numbers(mu.points).reshape(N, -1) - x[r, :N]
            for mu, x in zip(states, self.tracers, strict=True)
        ]
        paths = [float((d**2).sum(-1).mean()) ** 0.5 for d in moves]
        distances = [Wasserstein().distance(states[k], self.cores[k]).value for k in apart]
        return Compared(np.array(errors), np.array(paths), np.array(distances), states[-1])


def _numbers(value: Any) -> Array:
    found: Array = torch.as_tensor(value).detach().cpu().numpy().astype(np.float64).reshape(-1)
    return found


def drawn(law: Law, N: int, generator: torch.Generator) -> Particles:
    """N independent atoms of the law, of equal weights."""
    sample = getattr(law, "sample", None)
    found = (
        sample(N, generator=generator)
        if sample is not None
        else checks.called("law", law, N, generator)
    )
    mu = checks.kind("what law(N, generator) returns", found, Particles)
    if mu.N != N or not torch.allclose(mu.weights, mu.weights.new_tensor(1 / N)):
        raise ValueError(
            f"law({N}, generator) gave {mu.N} atoms; it must give {N}, of equal weights"
        )
    return mu


def _first(mu: Particles, N: int) -> Particles:
    """Its first N atoms, of equal weights."""
    return Particles.of(mu.points[:N], mu.weights.new_full((N,), 1 / N), mu.domain)


def _reference(law: Law, given: int | Particles | None, N: int, seed: int) -> Particles:
    if isinstance(given, Particles):
        return given
    n = LARGE * N if given is None else checks.count("reference", given)
    return drawn(law, n, _generator(seed))


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _with_tracers(mu: Particles, samples: list[Particles]) -> Particles:
    """The reference, and after it the atoms of all samples without mass."""
    points: Tensor = torch.cat([mu.points, *(sample.points for sample in samples)])
    weights = torch.cat([mu.weights, mu.weights.new_zeros(len(points) - mu.N)])
    return Particles.of(points, weights, mu.domain)


def _run(energy: Energy, mu: Particles, times: Array, rtol: float) -> list[Particles]:
    """The flow (3.7) at these times."""
    run = wasserstein(energy, mu, t1=float(times[-1]), times=times, rtol=rtol)
    kept = {float(s): state for s, state in zip(run.times, run.states, strict=True)}
    return [kept[float(s)].atoms for s in times]
