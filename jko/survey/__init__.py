"""The survey as a document that runs: its definitions, equations, remarks and open questions, measured.

``python -m jko validate`` runs all of it.  A claim is a function in one of :mod:`jko.survey.sections`,
which sort as the survey does; :mod:`jko.survey.claims` measures them.
"""

from jko.survey.claims import (
    SECTIONS,
    Claim,
    Curve,
    Entry,
    Kind,
    Measurement,
    Picture,
    claim,
    entries,
    validate,
)

__all__ = [
    "SECTIONS",
    "Claim",
    "Curve",
    "Entry",
    "Kind",
    "Measurement",
    "Picture",
    "claim",
    "entries",
    "validate",
]
