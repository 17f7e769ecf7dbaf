"""How smooth a measure stays along its flow: its density, and how steep that is, carried along characteristics.

Where mu_t solves (3.7) without diffusion, its atoms move by ``x' = -grad phi``, A = Hess phi, and so do

- the flow map's derivative:     ``J' = -A J``,  J = I at time zero;
- the density:                   ``(log mu)' = tr A``,  that is  ``mu_t = mu_0 / det J``;
- the slope of its logarithm:    ``(grad log mu)' = A grad log mu + grad tr A``.

So ``|mu_t|_inf <= |mu_0|_inf exp int_0^t sup tr A ds``: with a smooth phi of bounded second derivatives no singularity
comes in finite time.  Of a pair (rho, H), where J is the part along Theta of the derivative of the lift, one may: rho
is infinite where J is singular, which is where the graph of H folds.
"""

from jko.diagnostics.smoothness.guarantee import smooth_time
from jko.diagnostics.smoothness.monitor import smoothness
from jko.diagnostics.smoothness.result import Smoothness

__all__ = ["Smoothness", "smooth_time", "smoothness"]
