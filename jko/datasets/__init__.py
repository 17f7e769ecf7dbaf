"""Real data for networks: a table of numbers from a CSV file or from scikit-learn, split and standardised.

Whatever is wrong with a table is said here in a sentence, before anything is computed.
"""

from jko.datasets.csv_file import read_csv
from jko.datasets.preparation import Preparation
from jko.datasets.scaling import Scaling, Units
from jko.datasets.shipped import NAMES, load
from jko.datasets.table import Split, Table, split
from jko.datasets.targets import Target

__all__ = [
    "NAMES",
    "Preparation",
    "Scaling",
    "Split",
    "Table",
    "Target",
    "Units",
    "load",
    "read_csv",
    "split",
]
