"""What coordinates and energies are called on a picture, by the kind of state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jko.measures import OnCells, Pair, State, YoungMeasure

NEURONS = ("$w$", *(f"$\\theta_{{{k}}}$" for k in range(1, 10)))  # of xi = (w, theta)
PLACES = tuple(f"$x_{{{k}}}$" for k in range(1, 10))


def coordinates(state: State, names: Sequence[str] | None = None) -> Sequence[str]:
    """Names of the coordinates of the atoms: w and theta of pairs and of fibres, x else, unless they are given."""
    if names is not None:
        if len(names) < state.atoms.dim:
            raise ValueError(
                f"names has {len(names)} names, but the atoms have {state.atoms.dim} coordinates"
            )
        return names
    if isinstance(state, (Pair, YoungMeasure)):
        return NEURONS if state.atoms.dim > 2 else ("$w$", "$\\theta$")
    return PLACES if state.atoms.dim > 1 else ("$x$",)


def upright(names: Sequence[str], dim: int) -> tuple[int, int]:
    """The plane that is drawn where none was asked for: w over theta, or the second coordinate over the first."""
    return (1, 0) if names[0] == NEURONS[0] and dim > 1 else (0, min(1, dim - 1))


def energy_name(states: Iterable[State], time: str = "t") -> str:
    """F of a measure mu or a density rho, G of a pair (rho, H); of several kinds no more than that it is one."""
    kinds = {_symbol(state) for state in states}
    if len(kinds) != 1:
        return "energy"
    return f"energy ${kinds.pop().replace('*', time)}$"


def _symbol(state: State) -> str:
    if isinstance(state, Pair):
        return "G(\\rho_*, H_*)"
    return "F(\\rho_*)" if isinstance(state, OnCells) else "F(\\mu_*)"
