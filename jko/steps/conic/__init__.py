"""``Conic``: a JKO step as a conic program, for a general solver: the referee of the others.

``terms`` sorts the energy, ``static`` and ``dynamic`` write the two forms of a step, ``pairs`` that of (rho, H);
``corners`` holds the discretisation of a grid, ``bounds`` the lower bounds that prove a result.
"""

from jko.steps.conic.solver import Conic

__all__ = ["Conic"]
