"""JKO steps of densities on a grid by the dynamic form of W2.

One step of size tau from rho_0 minimises ``E(rho) + A(rho_0, rho) / (2 tau)``, where A is the action of Benamou and
Brenier over one time step, with the mobility taken halfway: ``M = (rho_0 + rho) / 2``.  With it A equals W2^2 up to
O(tau^3); the mobility rho of the linearised scheme (Cances, Gallouet and Todeschi, Numer. Math. 146 (2020)) would do to
first order only.

The discrete problem (P).  Cells K of volume |K|, spacings h_a, faces f between neighbours that are no obstacles;
nothing passes a wall, and where an axis is periodic its last cells are neighbours of its first.  Each cell has 2^d
corners, a corner c touches one face on every axis.  The unknowns are a density r_{K,c} >= 0 for every corner and a
flux F_f for every face:

``min  sum_K |K| mean_c [ U(r_{K,c}) + V_K r_{K,c} ]  +  tau/2 sum_f |K| F_f^2 / M_f``

``rho_K = mean_c r_{K,c},    rho_K - rho_{0,K} + tau (div F)_K = 0,    (div F)_K = sum_a (F_{a+} - F_{a-}) / h_a``

``M_f = 1/4 (rho_{0,K} + rho_{0,L}) + eps + 1/2 sum over the corners c of K and of L that touch f of r_c / 2^d``

so that M is the arithmetic mean of rho_0 and rho on both sides, half of a cell's share from the corners next to the
face.  A corner on the boundary, or on an obstacle, touches a closed face there, which has no flux.  The cost of the
step is ``A = tau^2 sum_f |K| F_f^2 / M_f``.  By convexity ``sum_K |K| U(rho_K)`` is at most the mean over corners, so
E + A / (2 tau) of the returned density is at most the value of (P).  eps > 0 is the mobility of the vacuum: there
the potential is harmonic, and the mass stays exact.

Its dual: with ``p_c = phi_K - V_K + tau/4 sum_a g_{c,a}^2`` and g_f the difference of phi across f over h (0 on closed
faces), maximise -J for

``J(phi) = sum_K |K| [ mean_c U*(p_c) - rho_{0,K} phi_K ] + tau/2 sum_f |K| (1/4 (rho_{0,K} + rho_{0,L}) + eps) g_f^2``

J is convex and smooth; at its minimum ``r_c = (U*)'(p_c)``, ``F = -M grad phi`` (the velocity is -grad phi), and ``grad
J / |K| = rho - rho_0 - tau div(M grad phi)``.  Because each corner sees one face an axis, the Hessian couples cells
that share a corner only: 9 points in 2-D, 19 in 3-D.

The modules, from a step problem to its answer:

- :mod:`solver` is the class, :mod:`setting` the problem in numbers, :mod:`solve` leads to the dual and back,
  :mod:`finish` makes the sums that a result reports, :mod:`gap` proves the answer.
- Methods.  :mod:`newton`, on the grids of :mod:`cascade` from a :mod:`guess`, is tried first.  What is hard for it,
  powers above 2, and every step with a risk is for :mod:`primal_dual`, along a :mod:`path` of easier problems, with
  :mod:`corners` (its kernels), :mod:`joint` and :mod:`coupling` (the prices of the data); what may not pass a limit is
  for :mod:`congested`, with :mod:`pressed` (its kernels).  Terms that the dual does not know, interactions among them,
  are for :mod:`reduced`, with their :mod:`curvature`, the :mod:`response` of the density, and :mod:`collapse`.
- The dual itself.  :mod:`conjugates` are U*, by :mod:`roots` of sums and the :mod:`exponential` of several cells at
  once; :mod:`kernels` are J and its gradient, :mod:`stencil` its Hessian, from :mod:`corner_sums`; :mod:`stepper` is
  all that of one step, in a :mod:`workspace` that a flow keeps.
- Linear systems.  :mod:`multigrid`, by :mod:`sweeps`, and :mod:`direct`, where that is too slow.  Fields lie in memory
  as :mod:`layout` says, merge by :mod:`levels` and :mod:`folds`, and come round at :mod:`seams`.
- :mod:`inner` is the action in several steps of time, :mod:`tensors` the dual in torch, for Newton's method alone.
"""

from jko.steps.dynamic.solver import Dynamic

__all__ = ["Dynamic"]
