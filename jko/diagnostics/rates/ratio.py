"""The entropy-entropy dissipation inequality of 5.1 (ii): the least ratio ``I / (F - F_*)`` on a sublevel set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jko import checks
from jko.diagnostics.rates.bounds import RateBound, proved_ratio
from jko.diagnostics.rates.families import Family
from jko.diagnostics.rates.search import BelowRest, Lowest, Search
from jko.diagnostics.rates.spectrum import Spectrum, moved, spectral_gap
from jko.diagnostics.rates.weighed import WeighedCells
from jko.energies import Energy
from jko.measures import ChargedParticles, GridDensity, LineMesh, NormalLaws, Particles, State
from jko.measures.tensors import on_numbers
from jko.shown import Shown, svg

Array = NDArray[np.float64]

FLOOR = 1e-3  # of the level: nearer to rest the spectrum says what the ratio is
SLOW = 3  # directions at rest from which searches begin, both ways
MIXED = 8  # of them, that are mixed at random
RESTS = 1e-4  # of the level: F - F_* that a state may still lose and be called at rest
STILL = 1e-3  # of the ratio at rest: what rests elsewhere
ROUNDING = 1e4 * float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class DissipationRatio(Shown):
    """The least ``I / (F - F_*)`` that was found where ``F - F_* <= level``.

    Attributes
    ----------
    value : float
        An upper bound of the infimum over the family that was searched, hence over all measures.
    lower : RateBound
        A lower bound by a theorem, with its name; 0 where none is known.
    at_rest : float
        The limit as ``F - F_* -> 0``: twice the spectral gap; nan where there are flat directions.
    gap : float
        ``F - F_*`` where the least ratio was found; 0 if that is the limit at rest.
    state : State
        There; the state at rest if it is the limit.
    level, minimum : float
        The sublevel set, and F_*, the energy at rest.
    ratios, gaps : (K,)
        Where each search ended; how far they agree tells how far to trust the least.
    trail : (T, 2)
        ``(F - F_*, ratio)`` of all that was evaluated in the sublevel set.

    Examples
    --------
    >>> import jko
    >>> found = jko.diagnostics.dissipation_ratio(
    ...     jko.SquaredNorm(), jko.Particles([[0.0], [0.0]]), level=1.0
    ... )
    >>> round(found.value, 6)  # I = int |x|^2 and F = int |x|^2 / 2
    2.0
    """

    value: float
    lower: RateBound
    at_rest: float
    gap: float
    state: State
    level: float
    minimum: float
    ratios: Array = field(repr=False)
    gaps: Array = field(repr=False)
    trail: Array = field(repr=False)

    @property
    def profile(self) -> tuple[Array, Array]:
        """Levels (L,) and the least ratio that was seen below each, (L,)."""
        order = np.argsort(self.trail[:, 0])
        gaps, ratios = self.trail[order].T
        return gaps, np.minimum.accumulate(ratios)

    @property
    def remarks(self) -> list[str]:
        """What to know before the value is believed."""
        said = []
        usual = self.at_rest if self.at_rest > 0 else float(np.median(self.trail[:, 1]))
        if 0 < self.gap < 3 * FLOOR * self.level:
            said.append(
                "the ratio still falls towards rest: there may be no exponential rate; see "
                "jko.diagnostics.lojasiewicz"
            )
        elif self.value < STILL * usual:
            said.append(
                f"another state at rest lies at F - F_* = {self.gap:.4g}: no inequality with this level"
            )
        if self.lower.value > self.value:
            said.append(
                "the bound is on measures, and what was found on cells is below it: that is their error"
            )
        if self.lower.value == 0:
            said.append(f"no lower bound: {self.lower.theorem}")
        return said

    def _facts(self) -> Mapping[str, object]:
        facts = {
            "value": self.value,
            "lower": self.lower.value,
            "theorem": self.lower.theorem,
            "at_rest": self.at_rest,
            "gap": self.gap,
            "level": self.level,
            "state": self.state,
        }
        return facts | ({"remark": "; ".join(self.remarks)} if self.remarks else {})

    def _picture(self) -> str:
        return svg.curve(*self.profile, "ratio below each level, logarithmic", log=True)

    def __str__(self) -> str:
        where = f"at F - F_* = {self.gap:.4g}" if self.gap else "in the limit at rest"
        proved = f"{self.lower.value:.6g} ({self.lower.theorem})" if self.lower.value else "0"
        agree = int((self.ratios <= 1.01 * self.ratios.min()).sum())
        head = (
            f"inf I / (F - F_*) over F - F_* <= {self.level:.4g}: found {self.value:.6g}, {where}; proved {proved}\n"
            f"at rest {self.at_rest:.6g}; {agree} of {len(self.ratios)} searches agree"
        )
        return "\n".join([head, *self.remarks])


@on_numbers
def dissipation_ratio(
    energy: Energy,
    rest: State,
    *,
    level: float,
    starts: Sequence[State] = (),
    even: bool = False,
    max_iterations: int = 150,
    report: Callable[[str], object] | None = None,
) -> DissipationRatio:
    """The least ``I(mu) / (F(mu) - F_*)`` where ``F - F_* <= level``, I the dissipation (3.9): found, and proved.

    If it is r > 0, every flow from there has ``F(mu_t) - F_* <= e^{-r t} (F(mu_0) - F_*)``: it is the constant of the
    entropy-entropy dissipation inequality that 5.1 (ii) asks for.  Searches begin along the slowest directions at rest,
    from two random ones, and from ``starts``; each minimises the ratio locally.

    Parameters
    ----------
    energy : Energy
        F.
    rest : Particles, ChargedParticles, GridDensity, LineMesh, Gaussian or GaussianMixture
        The minimiser, of :func:`jko.diagnostics.best_particles`, :func:`jko.minimiser` or a long flow.  F_* is its
        energy, and its kind says over what is minimised: N atoms with its masses; densities on
        its grid; meshes; normal laws.
    level : float
        How far above F_*, > 0.
    starts : sequence of states
        Where to search besides, of the same kind and size.
    even : bool
        Only measures that are their own image under x -> -x, about the middle of the grid; the flow from these stays
        among them where F does not change under the reflection.  For densities and normal laws.
    max_iterations
        Of one search.
    report : callable, optional
        Told in a line how each search went, such as ``print``.

    Returns
    -------
    DissipationRatio
        What was found is an upper bound of the infimum over all measures; ``lower`` is a bound from below by a
        theorem, 0 where none is known.

    Raises
    ------
    ValueError
        If ``rest`` moves, or a state with less energy is met: then F_* is not the minimum.

    Notes
    -----
    Source: survey 5.1 (ii) and footnote 13, which has the square of the gap on the right: with an entropy the first
    power holds (Nitanda, Wu, Suzuki; Chizat), see :func:`jko.diagnostics.proved_ratio`.

    For N atoms F_* is that of N atoms, and so is the ratio: against the minimum over all measures it would be 0 at the
    best N atoms.

    Examples
    --------
    >>> import jko
    >>> F = jko.Potential(lambda x: (x**2 / 2 + x**4).sum(-1)) + 0.2 * jko.Entropy()
    >>> rest = jko.minimiser(F, jko.Grid((-2.0, 2.0), 30)).state
    >>> found = jko.diagnostics.dissipation_ratio(F, rest, level=0.1)
    >>> found.lower.value < found.value < 1.01 * found.at_rest
    True
    """
    checks.kind("energy", energy, Energy)
    checks.kind("rest", rest, Particles, ChargedParticles, GridDensity, LineMesh, NormalLaws)
    checks.number("level", level, above=0)
    checks.count("max_iterations", max_iterations)
    family = _family(energy, rest, even)
    minimum = family.figures(family.rest).energy
    if not ROUNDING * abs(minimum) < FLOOR * level:
        raise ValueError(
            f"level = {level:g} is rounding beside the energy {minimum:g} at rest; take a larger one"
        )
    spectrum = spectral_gap(energy, rest, count=SLOW, even=even)
    _check_rest(family.figures(family.rest).dissipation, spectrum, level)
    search = Search(family, minimum, level, FLOOR * level, max_iterations)
    try:
        found = list(_searches(search, [_start(family, rest, s) for s in starts], report))
    except BelowRest as lower:
        raise ValueError(
            f"a state has the energy of the one at rest less {-lower.args[0]:.3g}, so that one is no minimum: search "
            "it with more starts of jko.diagnostics.best_particles, or run the flow longer"
        ) from None
    least = min(found, key=lambda point: point.ratio)
    at_rest = math.nan if spectrum.flat or spectrum.negative else spectrum.rate
    inside = not at_rest <= least.ratio
    return DissipationRatio(
        value=least.ratio if inside else at_rest,
        lower=proved_ratio(energy, rest, level=level),
        at_rest=at_rest,
        gap=least.gap if inside else 0.0,
        state=family.state(least.y) if inside else rest,
        level=level,
        minimum=minimum,
        ratios=np.array([point.ratio for point in found]),
        gaps=np.array([point.gap for point in found]),
        trail=np.array(search.trail),
    )


def _family(energy: Energy, rest: State, even: bool) -> Family:
    if isinstance(rest, GridDensity):
        return WeighedCells(energy, rest, even)
    return moved(energy, rest, even)


def _check_rest(moving: float, spectrum: Spectrum, level: float) -> None:
    """``F - min F`` near a minimum is at most ``I / (2 gap)``."""
    left = moving / spectrum.rate if spectrum.rate > 0 else moving
    if left > RESTS * level:
        raise ValueError(
            f"rest moves: its dissipation is {moving:.3g}, so that it may lose {left:.3g} more, and the level is "
            f"{level:g}; take jko.diagnostics.best_particles(...).state, jko.minimiser(...).state, or a longer flow"
        )


def _start(family: Family, rest: State, start: State) -> Array:
    """The coordinates of a start."""
    if type(start) is not type(rest) or start.weights.shape != rest.weights.shape:
        raise ValueError(
            f"a start is {start!r}; it must be of the kind and size of the state at rest, {rest!r}"
        )
    return family.coordinates(start)


def _searches(
    search: Search, starts: list[Array], report: Callable[[str], object] | None
) -> list[Lowest]:
    """Search from each start, from along the slowest directions at rest, and from along mixtures of slow ones."""
    family, random = search.family, np.random.default_rng(0)
    slow = family.directions(MIXED)
    directions = [sign * d for d in slow[:SLOW] for sign in (1.0, -1.0)]
    directions += [d for d in random.normal(size=(2, len(slow))) @ slow if d.any()]
    if not directions:  # all are flat at rest
        directions = list(random.normal(size=(2 * SLOW, len(family.rest))))
    places, found = [*starts, *map(search.from_direction, directions)], []
    for k, y in enumerate(places, 1):
        found.append(search.run(y))
        if report is not None:
            report(
                f"search {k} of {len(places)}: I / (F - F_*) = {found[-1].ratio:.6g} at F - F_* = {found[-1].gap:.4g}"
            )
    return found
