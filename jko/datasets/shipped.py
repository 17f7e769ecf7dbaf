"""The data sets that come with scikit-learn, so that a first run needs no download."""

from __future__ import annotations

from typing import Any

from jko.datasets.table import Table
from jko.datasets.targets import Target, indicators

TARGETS = {
    "breast-cancer": "diagnosis",
    "diabetes": "progression",
    "digits": "digit",
    "iris": "species",
    "wine": "cultivar",
}
NAMES = tuple(TARGETS)


def load(name: str) -> Table:
    """A data set that scikit-learn ships: ``diabetes`` is a regression, the others have 2, 10, 3 and 3 classes.

    Raises
    ------
    ValueError
        For another name.
    ImportError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from jko import datasets
    >>> table = datasets.load("diabetes")
    >>> table.x.shape, table.target.columns
    ((442, 10), ('progression',))
    """
    if name not in NAMES:
        raise ValueError(
            f"data set {name!r} is unknown; choose from {', '.join(NAMES)}, "
            "or read your own by --csv FILE --target COLUMN"
        )
    try:
        from sklearn import datasets
    except ImportError:
        raise ImportError(
            f"the data set {name!r} comes with scikit-learn, which is not installed; "
            "pip install 'jko[data]', or read a file by --csv FILE --target COLUMN"
        ) from None
    raw: Any = getattr(datasets, f"load_{name.replace('-', '_')}")()
    columns = tuple(map(str, raw.feature_names))
    if name == "diabetes":
        return Table(name, columns, raw.data, Target((TARGETS[name],)), raw.target)
    classes = tuple(map(str, raw.target_names))
    f = indicators(raw.target, len(classes))
    return Table(name, columns, raw.data, Target((TARGETS[name],), classes), f)
