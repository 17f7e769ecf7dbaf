"""Time schemes: recipes of JKO steps that make one step of the flow.

Every one is a sequence of ordinary JKO solves from base points that are affine in the labels of a state
(:mod:`jko.steps.affine`), or further along the geodesic of a step (:mod:`jko.steps.beyond`).
"""

from jko.schemes.bdf2 import BDF2
from jko.schemes.implicit import Implicit
from jko.schemes.midpoint import Midpoint
from jko.schemes.scheme import Scheme
from jko.schemes.sdirk2 import SDIRK2
from jko.schemes.strang import Strang
from jko.schemes.zeg import ZEG

__all__ = ["BDF2", "SDIRK2", "ZEG", "Implicit", "Midpoint", "Scheme", "Strang"]
