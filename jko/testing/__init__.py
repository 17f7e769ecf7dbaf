"""Self-checks for energies, metrics, solvers and states of one's own: do they keep what the contracts promise?

Each check runs a battery of promises, in a fraction of a second, and raises :class:`BrokenPromise`, an AssertionError
whose sentence names the class and the method, the numbers, and where to look: made for one line of a test.

>>> import jko
>>> from jko.testing import check_energy
>>> check_energy(jko.SquaredNorm())

What they hold against each other are values: a variation is compared with differences of the energy under changes of
masses and of places, a slope with differences of costs.  Where a difference cannot be trusted, at a kink or in noise,
nothing is said.  A check that is quiet proves nothing; closed forms and other programs remain the better witnesses.
"""

from jko.testing.energy import check_energy
from jko.testing.metric import check_metric
from jko.testing.promises import BrokenPromise
from jko.testing.solver import check_solver
from jko.testing.state import check_state

__all__ = ["BrokenPromise", "check_energy", "check_metric", "check_solver", "check_state"]
