"""What a prompt and a notebook show of an object: one line, and a small table with a picture. For everybody.

A class inherits :class:`Shown` and says :meth:`Shown._facts`, if its fields are not what people want to know.
"""

from jko.shown.above import above
from jko.shown.lines import LIMIT, call, joined, short
from jko.shown.notebook import notebook
from jko.shown.shown import Shown, shown

__all__ = ["LIMIT", "Shown", "above", "call", "joined", "notebook", "short", "shown"]
