"""The data sets that come with scikit-learn, so that a first run needs no download."""

from __future__ import annotations

from jko.datasets.table import Table

NAMES = ("breast-cancer", "diabetes")


def load(name: str) -> Table:
    """A data set that scikit-learn ships: ``breast-cancer`` (two classes) or ``diabetes`` (regression).

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
    >>> table.x.shape, table.target
    ((442, 10), 'progression')
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
    if name == "diabetes":
        raw = datasets.load_diabetes()
        return Table(name, tuple(raw.feature_names), raw.data, "progression", raw.target)
    raw = datasets.load_breast_cancer()
    first, second = map(str, raw.target_names)
    return Table(
        name,
        tuple(map(str, raw.feature_names)),
        raw.data,
        "diagnosis",
        2.0 * raw.target - 1,
        (first, second),
    )
