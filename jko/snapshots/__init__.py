"""The energy behind data: a potential V from snapshots ``mu_0, mu_1, ...`` of a gradient flow, unpaired clouds.

The optimal plan from one snapshot to the next pairs them.  A JKO step of ``int V dmu`` moves an atom from y to x with

``(x - y) / tau = -grad V(x)``    implicit: at the *new* points, the first-order condition of the step (3.24)

and a step of explicit Euler with ``-grad V(y)``, at the *old* ones.  Which of the two made the data must be known: it
matters more than the model.  With ``V = sum_l c_l phi_l`` both are linear in c, and

``minimise over c:  mean over k of  int |(x - y) / tau + grad V|^2 dmu_k  +  ridge |c|^2``.

Source: Bunne, Papaxanthos, Krause, Cuturi (AISTATS 2022) for the problem; Terpin, Lanzetti, Gadea, Dorfler (NeurIPS
2024) for the first-order condition.
"""

from jko.snapshots.features import Bumps, Monomials
from jko.snapshots.fit import fit
from jko.snapshots.result import SnapshotFit

__all__ = ["Bumps", "Monomials", "SnapshotFit", "fit"]
