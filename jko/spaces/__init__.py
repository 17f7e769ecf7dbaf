"""Where the mass may be: closed convex sets (:mod:`.domains`), R x Theta (:mod:`.cylinders`), grids (:mod:`.grids`)."""

from jko.spaces.cached import cached
from jko.spaces.cylinders import Cylinder, base_of, cylinder
from jko.spaces.domains import Ball, Box, Convex, Domain, check_inside, projected
from jko.spaces.faces import FacesAcross
from jko.spaces.grids import Grid

__all__ = [
    "Ball",
    "Box",
    "Convex",
    "Cylinder",
    "Domain",
    "FacesAcross",
    "Grid",
    "base_of",
    "cached",
    "check_inside",
    "cylinder",
    "projected",
]
