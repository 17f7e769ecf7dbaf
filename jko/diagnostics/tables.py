"""A table of parameters, errors and orders: for a terminal, for LaTeX, for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SPECIAL = "&%$#_{}"  # of LaTeX
GREEK = ("tau", "epsilon", "lambda", "delta", "sigma", "beta")


def plain(name: str, *columns: Array) -> str:
    """Columns of a terminal."""
    rows = (f"{h:>10}  {e:>11}  {order:>6}" for h, e, order in zip(*texts(*columns), strict=True))
    return "\n".join([f"{name:>10}  {'error':>11}  {'order':>6}", *rows])


def texts(
    parameters: Array, errors: Array, orders: Array
) -> tuple[list[str], list[str], list[str]]:
    """The three columns in digits that a reader needs; the first has no order."""
    known = ["", *(f"{order:.3f}" for order in orders[1:])]
    return [f"{h:.4g}" for h in parameters], [f"{e:.4e}" for e in errors], known


def csv(name: str, *columns: Array) -> str:
    """Comma-separated, all digits, and nothing where there is no order."""
    head = f'"{name}"' if set(name) & {",", '"'} else name
    return "\n".join([f"{head},error,order", *map(_joined, zip(*columns, strict=True)), ""])


def latex(name: str, *columns: Array) -> str:
    """A ``tabular``: powers of ten as such, letters of Greek by their names."""
    parameters, _, orders = texts(*columns)
    head = f"$\\{name}$" if name in GREEK else _escaped(name)
    rows = [
        f"{_power(h)} & {_power(f'{e:.3e}')} & {'' if order == 'nan' else order} \\\\"
        for h, e, order in zip(parameters, columns[1], orders, strict=True)
    ]
    top = [r"\begin{tabular}{rrr}", r"\hline", rf"{head} & error & order \\", r"\hline"]
    return "\n".join([*top, *rows, r"\hline", r"\end{tabular}"]) + "\n"


def _joined(row: Iterable[float]) -> str:
    return ",".join("" if np.isnan(value) else repr(float(value)) for value in row)


def _power(text: str) -> str:
    front, _, power = text.partition("e")
    return rf"${front} \cdot 10^{{{int(power)}}}$" if power else f"${front}$"


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in text)
