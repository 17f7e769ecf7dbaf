"""The survey as a document that runs: its definitions, equations, remarks and open questions, measured.

``python -m jko validate`` runs all of it.  A claim is a function in one of the modules below, in the survey's order.
"""

from jko.survey.measuring import (
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
