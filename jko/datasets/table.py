"""A table of inputs and a target; cut in two and standardised, it is data for a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jko import checks
from jko.networks import Data

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

FLAT = (
    1e-12  # a column whose deviation is a smaller fraction of its size is constant up to rounding
)


@dataclass(frozen=True, eq=False)
class Table:
    """Inputs and a target, as read.

    Attributes
    ----------
    name : str
        Of the data set or file.
    columns : tuple of n str
        Names of the inputs.
    x : (M, n)
        Inputs.
    target : str
        Name of the target.
    f : (M,)
        Target: -1 and +1 for two classes, the values themselves otherwise.
    classes : (str, str) or None
        What -1 and +1 stand for; None for regression.
    left_out : tuple of str
        Columns that were no input, since they only tell the rows apart.
    notes : tuple of str
        What was done with columns that number the rows, in sentences.

    Examples
    --------
    >>> from jko import datasets
    >>> datasets.load("breast-cancer").classes
    ('malignant', 'benign')
    """

    name: str
    columns: tuple[str, ...]
    x: Array
    target: str
    f: Array
    classes: tuple[str, str] | None = None
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Split:
    """A table cut into a training and a test part, standardised by the mean and deviation of the training part.

    Attributes
    ----------
    train, test : Data
        Inputs standardised; the target too for regression, -1 and +1 for classes.
    columns, dropped : tuples of str
        Inputs kept, and inputs left out because they are constant on the training part.
    centre, scale : float
        The target in its own units is ``centre + scale * f``.

    Examples
    --------
    >>> import torch
    >>> from jko import datasets
    >>> parts = datasets.split(datasets.load("diabetes"), 0.25, torch.Generator().manual_seed(0))
    >>> abs(float(parts.train.x.mean())) < 1e-12
    True
    """

    train: Data
    test: Data
    columns: tuple[str, ...]
    dropped: tuple[str, ...]
    centre: float
    scale: float


def split(table: Table, test_fraction: float, generator: torch.Generator) -> Split:
    """Cut a table at random, class by class if it has classes, and standardise both parts by the training part.

    Inputs that are constant on the training part carry no information and are left out.

    Parameters
    ----------
    table : Table
        What to cut.
    test_fraction : float
        Share of the rows held out, between 0 and 1.
    generator : torch.Generator
        Source of the shuffle.

    Raises
    ------
    ValueError
        If a part would be empty, or no input varies.

    Examples
    --------
    >>> import torch
    >>> from jko import datasets
    >>> parts = datasets.split(datasets.load("diabetes"), 0.25, torch.Generator().manual_seed(0))
    >>> len(parts.train.f), len(parts.test.f)
    (332, 110)
    """
    fraction = checks.number("test_fraction", test_fraction, above=0, below=1)
    test, train = _parts(table, fraction, generator)
    centre, scale = _centre_and_scale(table.x[train])
    varies = scale > FLAT * np.abs(table.x[train]).max(0)
    if not varies.any():
        raise ValueError(
            f"every input of {table.name!r} is constant on the {len(train)} training rows; one must vary"
        )
    x = (table.x[:, varies] - centre[varies]) / scale[varies]
    middle, spread = (0.0, 1.0) if table.classes else map(float, _centre_and_scale(table.f[train]))
    if spread == 0:
        raise ValueError(
            f"the target {table.target!r} of {table.name!r} is constant on the {len(train)} training rows; "
            "it must vary"
        )
    f = (table.f - middle) / spread
    return Split(
        train=Data(x[train], f[train]),
        test=Data(x[test], f[test]),
        columns=tuple(name for name, keep in zip(table.columns, varies, strict=True) if keep),
        dropped=tuple(name for name, keep in zip(table.columns, varies, strict=True) if not keep),
        centre=middle,
        scale=spread,
    )


def _centre_and_scale(values: Array) -> tuple[Array, Array]:
    """Mean and standard deviation along the rows; no square overflows, whatever the units."""
    size = np.abs(values).max(0)
    unit = values / np.where(size > 0, size, 1.0)
    return size * unit.mean(0), size * unit.std(0)


def _parts(table: Table, fraction: float, generator: torch.Generator) -> tuple[Indices, Indices]:
    """Rows of the test part and of the training part, each in the order of the table."""
    groups = {"the table": np.arange(len(table.f))}
    if table.classes:
        groups = {
            f"class {name!r}": (table.f == sign).nonzero()[0]
            for name, sign in zip(table.classes, (-1, 1), strict=True)
        }
    cut = [_shuffled(rows, kind, fraction, generator) for kind, rows in groups.items()]
    test, train = (np.sort(np.concatenate(part)) for part in zip(*cut, strict=True))
    return test, train


def _shuffled(
    rows: Indices, kind: str, fraction: float, generator: torch.Generator
) -> tuple[Indices, Indices]:
    """Rows of the test part and of the training part."""
    held = round(fraction * len(rows))
    if not 0 < held < len(rows):
        raise ValueError(
            f"test_fraction = {fraction:g} of the {len(rows)} rows of {kind} leaves {len(rows) - held} to train "
            f"and {held} to test; both parts need at least one: change the fraction or add rows"
        )
    order = rows[torch.randperm(len(rows), generator=generator, device=generator.device).numpy()]
    return order[:held], order[held:]
