"""Where the mass may be: closed convex sets (:mod:`.domains`), what comes round (:mod:`.torus`), R x Theta, grids."""

from jko.spaces.cached import cached
from jko.spaces.cylinders import Cylinder, base_of, cylinder
from jko.spaces.domains import (
    Ball,
    Box,
    Convex,
    Domain,
    check_inside,
    projected,
    refuse_wrapped,
    wrapped,
    wraps,
)
from jko.spaces.faces import FacesAcross
from jko.spaces.grids import Grid
from jko.spaces.torus import Torus, same_domain

__all__ = [
    "Ball",
    "Box",
    "Convex",
    "Cylinder",
    "Domain",
    "FacesAcross",
    "Grid",
    "Torus",
    "base_of",
    "cached",
    "check_inside",
    "cylinder",
    "projected",
    "refuse_wrapped",
    "same_domain",
    "wrapped",
    "wraps",
]
