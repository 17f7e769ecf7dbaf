"""The step in the split metric: rho by W2 with H held, then H in L2 of the new rho, in closed form.

H stays in the span of H_0 and the features of the data (:class:`jko.ChargedSpan`), so with H held G is an energy of
the measure rho alone, which its own solver knows how to step; and with rho held G is quadratic in H.
"""

from jko.steps.split.alternating import Alternating

__all__ = ["Alternating"]
