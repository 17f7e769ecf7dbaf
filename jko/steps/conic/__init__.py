"""``Conic``: a JKO step as a conic program, for a general solver: the referee of the others.

``terms`` sorts the energy; ``form`` is what the forms of a step share: of a ``plan``, of the ``action`` on a grid, of
``pairs`` (rho, H).  ``corners`` holds the discretisation of a grid, ``bounds`` the lower bounds that prove a result.
"""

from jko.steps.conic.solver import Conic

__all__ = ["Conic"]
