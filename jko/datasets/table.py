"""A table of inputs and a target; cut in two and standardised, it is data for a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from jko import checks
from jko.datasets.cells import Array
from jko.datasets.inputs import Number, Recipe
from jko.datasets.scaling import Scaling, Units
from jko.datasets.targets import Target
from jko.networks import Data

Indices = NDArray[np.intp]


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
        Inputs, NaN where a cell is missing.
    target : Target
        What is learned: its columns, and its classes if it has some.
    f : (M,) or (M, k)
        Values of the target; -1 and +1 for two classes, a column of 0 and 1 each for more.
    left_out : tuple of str
        Columns that were no input, since they only tell the rows apart.
    notes : tuple of str
        What was done with columns that are not just numbers, in sentences.
    recipe : tuple of Number and Categories
        How the columns of the file became inputs; by default each is a number.
    named : bool
        Whether the file's first line names the columns; else they are called "1", "2", ....

    Examples
    --------
    >>> from jko import datasets
    >>> datasets.load("breast-cancer").classes
    ('malignant', 'benign')
    """

    name: str
    columns: tuple[str, ...]
    x: Array
    target: Target
    f: Array
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    recipe: Recipe = ()
    named: bool = True

    def __post_init__(self) -> None:
        if not self.recipe:
            object.__setattr__(self, "recipe", tuple(map(Number, self.columns)))

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The classes; None for a regression."""
        return self.target.classes


@dataclass(frozen=True, eq=False)
class Split:
    """A table cut into a training and a test part, standardised by the mean and deviation of the training part.

    Attributes
    ----------
    train, test : Data
        Inputs standardised; the target too for a regression, not for classes.  No test part if no row is held out.
    train_rows, test_rows : arrays of int
        The rows of the table in either part, from 0.
    scaling : Scaling
        Of the inputs: which are kept, and their units.
    units : Units
        Of the target.

    Examples
    --------
    >>> import torch
    >>> from jko import datasets
    >>> parts = datasets.split(datasets.load("diabetes"), 0.25, torch.Generator().manual_seed(0))
    >>> abs(float(parts.train.x.mean())) < 1e-12
    True
    """

    train: Data
    test: Data | None
    train_rows: Indices
    test_rows: Indices
    scaling: Scaling
    units: Units


def split(
    table: Table,
    test_fraction: float,
    generator: torch.Generator,
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str = "cpu",
) -> Split:
    """Cut a table at random, class by class if it has classes, and standardise both parts by the training part.

    Inputs that are constant on the training part carry no information and are left out.

    Parameters
    ----------
    table : Table
        What to cut.
    test_fraction : float
        Share of the rows held out, at least 0 and below 1.
    generator : torch.Generator
        Source of the shuffle.
    dtype, device
        Of the data; the standardisation is in float64.

    Raises
    ------
    ValueError
        If a part would be empty though it was asked for, or no input varies.

    Examples
    --------
    >>> import torch
    >>> from jko import datasets
    >>> parts = datasets.split(datasets.load("diabetes"), 0.25, torch.Generator().manual_seed(0))
    >>> len(parts.train.f), len(parts.test.f)
    (332, 110)
    """
    fraction = checks.number("test_fraction", test_fraction, least=0, below=1)
    test, train = _parts(table, fraction, generator)
    measured = [unit for rule in table.recipe for unit in rule.measured]
    scaling = Scaling.of(table.columns, table.x[train], measured)
    if not scaling.columns:
        raise ValueError(
            f"every input of {table.name!r} is constant on the {len(train)} training rows; one must vary"
        )
    units = Units() if table.classes else Units.of(table.f[train])
    if not np.all(units.scale):
        flat = np.array(table.target.columns)[np.atleast_1d(units.scale) == 0]
        raise ValueError(
            f"the target {str(flat[0])!r} of {table.name!r} is constant on the {len(train)} training rows; "
            "it must vary"
        )
    x, f = scaling(table.columns, table.x), units.scaled(table.f)

    def data(rows: Indices) -> Data:
        pair = (torch.tensor(values[rows], dtype=dtype, device=device) for values in (x, f))
        return Data(*pair)

    return Split(data(train), data(test) if len(test) else None, train, test, scaling, units)


def _parts(table: Table, fraction: float, generator: torch.Generator) -> tuple[Indices, Indices]:
    """Rows of the test part and of the training part, each in the order of the table."""
    everything = np.arange(len(table.f))
    if fraction == 0:
        return everything[:0], everything
    groups = {"the table": everything}
    if table.classes:
        codes = table.f.argmax(1) if table.f.ndim == 2 else (table.f > 0).astype(int)
        groups = {f"class {n!r}": (codes == k).nonzero()[0] for k, n in enumerate(table.classes)}
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
