"""Two states that are compared are of one sort and of one space."""

from __future__ import annotations

from math import isclose

from jko import checks
from jko.measures import Pair, Particles, State
from jko.spaces import Domain, refuse_wrapped


def alike(
    a: State,
    b: State,
    names: tuple[str, str] = ("a", "b"),
    why: str = "a distance needs one space for both",
    *,
    seams: bool = False,
) -> tuple[Particles, Particles]:
    """The atoms (lifts, of pairs) of two states, which must be of one dimension, dtype and device.

    ``seams``: whether the caller knows domains that come round; those of both are the same then.
    """
    x, y = a.atoms, b.atoms
    for mu in (x, y):
        mu.refuse_part("what compares two states")
    if not _one_frame(x.frame, y.frame):
        raise ValueError(
            f"{names[0]} and {names[1]} have second layers of other sizes or masses, whose neurons cannot be held to "
            "each other by their numbers; jko.metrics.unlabelled(a, b) compares two networks of any sizes"
        )
    if x.dim != y.dim:
        what, less = ("d =", 1) if isinstance(a, Pair) else ("dimension", 0)
        p, q = (f"{n} has {what} {z.dim - less}" for n, z in zip(names, (x, y), strict=True))
        raise ValueError(f"{p} but {q}; {why}")
    checks.alike(names[0], x.points, names[1], y.points)
    if not seams:
        refuse_wrapped("this comparison of two states", x.domain, y.domain)
    _refuse_two_seams(x.domain, y.domain, names)
    return x, y


def _one_frame(p: tuple[float, ...], q: tuple[float, ...]) -> bool:
    """Whether the scales are the same, up to what float32 leaves of them."""
    return len(p) == len(q) and all(isclose(a, b, rel_tol=1e-6) for a, b in zip(p, q, strict=True))


def _refuse_two_seams(p: Domain | None, q: Domain | None, names: tuple[str, str]) -> None:
    """Two measures have one way between two places."""
    periods = [domain.periods if domain is not None else () for domain in (p, q)]
    if periods[0] != periods[1]:
        lives = [f"{name} lives in {d!r}" for name, d in zip(names, (p, q), strict=True)]
        raise ValueError(
            f"{lives[0]} but {lives[1]}; a distance needs the same periodic axes and periods for both: build both with "
            "one jko.Grid or one jko.spaces.Torus"
        )


def one_sort(a: State, b: State, hint: str) -> None:
    """Refuse all but two measures on atoms, or two pairs (rho, H); ``hint`` is the remedy for other states."""
    for name, state in (("a", a), ("b", b)):
        checks.kind(name, state, Particles, Pair, hint=hint)
    if isinstance(a, Particles) != isinstance(b, Particles):
        raise TypeError(
            f"a is {type(a).__name__} but b is {type(b).__name__}; pass the .lift() of the pair (rho, H)"
        )
