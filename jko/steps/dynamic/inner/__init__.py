"""The step with n inner steps of time: the action of Benamou and Brenier in n slabs.

With one slab the action A is W2^2 up to a relative error of the square of the strain, tau times the gradient of the
velocity.  With n slabs the error is that divided by n^2.  The unknowns are densities ``rho^1, ..., rho^{n-1}`` on the
cells between the slabs, the corner densities of the last one as before, and fluxes F^k of every slab:

``min  E(rho^n) + tau/2n sum_k sum_f |K| (F^k_f)^2 / M^k_f``                                                      (P_n)

``rho^k - rho^{k-1} + tau/n div F^k = 0,    rho^k >= 0,    M^k_f = 1/4 (rho^{k-1}_{K,L} + rho^k_{K,L}) + eps``

with the sum of both cells in ``rho_{K,L}``, and in M^n the corners' share as in :mod:`jko.steps.dynamic`.  The dual has
a potential phi^k for each slab: maximise -J for ``J = sum_K |K| j_K``,

``j = mean_c U*(p^n_c) - rho_0 (phi^1 - tau/4n |grad phi^1|^2) + tau/2n eps sum_k |grad phi^k|^2``

``p^n_c = phi^n - V + tau/4n |grad phi^n|_c^2``

``p^k = phi^k - phi^{k+1} + tau/4n (|grad phi^k|^2 + |grad phi^{k+1}|^2) <= 0``

with the mean of the squares on both faces of a cell but in p^n: the equation of Hamilton and Jacobi, where there is
mass.  The densities between the slabs live on cells, not on corners: nothing keeps corners of one cell together
there, and a density on the corner with the steepest faces would make the action too small by O(h).

**The solver.**  The inequality has no curvature.  So the densities between the slabs are held near to centres, by the
Bregman proximal term ``delta sum_K (r log(r / near) - r + near)``: then ``r = near exp(p / delta)``, J is smooth, and
after each Newton step close to its minimum the centres move to the densities.  The limit solves (P_n) itself (Censor
and Zenios, J. Optim. Theory Appl. 73 (1992)); what is left of the inequalities is in the gap, which knows nothing
of the term.  Newton's equation is block tridiagonal in time and is solved by conjugate gradients with block
Gauss-Seidel, forth and back in time, a V-cycle in space for each block.  delta is a part of the potential's deviation,
small enough for few iterations of the centres, large enough that all frequencies but the lowest feel the mobility.

The modules: :mod:`path` (the dual as arrays), :mod:`transport` (kernels), :mod:`rounds` (Newton's method),
:mod:`nested` (coarser grids first), :mod:`gap` (the proof), :mod:`solve` (from the dual to the step).
"""
