"""Real data for networks: a table of numbers from a CSV file or from scikit-learn, split and standardised.

Whatever is wrong with a table is said here in a sentence, before anything is computed.
"""

from jko.datasets.csv_file import read_csv
from jko.datasets.shipped import NAMES, load
from jko.datasets.table import Split, Table, split

__all__ = ["NAMES", "Split", "Table", "load", "read_csv", "split"]
