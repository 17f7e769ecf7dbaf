"""Saved runs, without pickle, so that reading one never runs code.

A finished run is an *archive* (:mod:`.archive`): one ``.npz`` of arrays with a JSON string of facts and a digest of
everything.  A run that is going on is a *journal* (:mod:`.journal`): a file that grows by one record a step, so that a
checkpoint costs the same after a hundred thousand steps as after one.  Both stand under the name the user gave
(:mod:`.places`), and both hold states by the same names (:mod:`.states`).
"""

from jko.storage import archive
from jko.storage.figures import Figures
from jko.storage.journal import Journal
from jko.storage.kept import HELD, Kept, kept
from jko.storage.places import refusal, replacing, to_read, to_write
from jko.storage.scan import Source, is_journal, opened
from jko.storage.states import (
    Arrays,
    Facts,
    NeedsMore,
    checked,
    facts_of,
    held,
    names,
    numbered,
    packed,
    unpacked,
)

__all__ = [
    "HELD",
    "Arrays",
    "Facts",
    "Figures",
    "Journal",
    "Kept",
    "NeedsMore",
    "Source",
    "archive",
    "checked",
    "facts_of",
    "held",
    "is_journal",
    "kept",
    "names",
    "numbered",
    "opened",
    "packed",
    "refusal",
    "replacing",
    "to_read",
    "to_write",
    "unpacked",
]
