"""The equation of a density by finite volumes: jko.limits.wasserstein beside scipy's BDF with sparse LU.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/volumes.py              everything, a minute or two
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/volumes.py --quick      64 x 64 cells
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/volumes.py hard         what fronts, walls and long times cost

One thread, CPU seconds, the median of three runs after one that warms up; both codes in turn.  ``L1`` is the distance
to the exact solution, a closed form: Barenblatt's profile of a porous medium, and the normal law of Fokker and Planck's
equation.  The peer is twenty lines: the same fluxes in numpy, their Jacobian as a sparse matrix, ``solve_ivp``, BDF.
"""

import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
from grid import Problem, error, fokker_planck, main, medium
from scipy.integrate import solve_ivp

import jko

REPEATS = 3


def along_both(line: sp.spmatrix) -> sp.csc_matrix:
    """The sum of a matrix along both axes of a square."""
    return sp.kronsum(line, line).tocsc()


def bdf_medium(start: jko.GridDensity, t1: float, rtol: float, atol: float) -> np.ndarray:
    """``d_t rho = Lap rho^2`` between walls, scipy."""
    n, h = start.grid.shape[0], start.grid.spacing[0]
    ends = np.r_[-1.0, np.full(n - 2, -2.0), -1.0]
    A = along_both(sp.diags([np.ones(n - 1), ends, np.ones(n - 1)], [-1, 0, 1]) / h**2)
    u = start.values.numpy().ravel()
    found = solve_ivp(
        lambda t, r: A @ np.maximum(r, 0) ** 2,
        (0, t1),
        u,
        "BDF",
        jac=lambda t, r: A @ sp.diags(2 * np.maximum(r, 0)),
        rtol=rtol,
        atol=atol * u.max(),
    )
    return found.y[:, -1].reshape(n, n)


def bdf_fokker_planck(start: jko.GridDensity, t1: float, rtol: float, atol: float) -> np.ndarray:
    """``d_t rho = Lap rho + div(100 (x - c) rho)`` by Scharfetter and Gummel's fluxes, scipy."""
    n, h = start.grid.shape[0], start.grid.spacing[0]
    z = np.diff(50 * (start.grid.axes[0].numpy() - 0.5) ** 2)
    z[z == 0] = 1e-12
    up, down = (s / np.expm1(s) for s in (z, -z))
    A = along_both(sp.diags([up, -np.r_[up, 0] - np.r_[0, down], down], [-1, 0, 1]) / h**2)
    u = start.values.numpy().ravel()
    found = solve_ivp(lambda t, r: A @ r, (0, t1), u, "BDF", jac=A, rtol=rtol, atol=atol * u.max())
    return found.y[:, -1].reshape(n, n)


def timed(runs: list[Callable[[], object]]) -> list[tuple[object, float]]:
    """What they return and the median of their CPU seconds, taken in turn."""
    results, seconds = [run() for run in runs], [[] for _ in runs]
    for _ in range(REPEATS):
        for k, run in enumerate(runs):
            begin = time.process_time()
            results[k] = run()
            seconds[k].append(time.process_time() - begin)
    return [(r, float(np.median(s))) for r, s in zip(results, seconds, strict=True)]


def limit(p: Problem, t1: float, rtol: float) -> Callable[[], jko.GridDensity]:
    """Ours."""
    return lambda: jko.limits.wasserstein(p.energy, p.start, t1=t1, times=[t1], rtol=rtol).final


def table_peers(quick: bool) -> None:
    """Work against precision."""
    n = 64 if quick else 128
    cases = [
        (medium(n, 2, 2e-4, 1e-4), 1e-3, bdf_medium),
        (fokker_planck(n), 5e-3, bdf_fokker_planck),
    ]
    for p, t1, peer in cases:
        ours = [3e-3, 1e-3, 3e-4]
        theirs = [(1e-2, 1e-4), (1e-2, 1e-6), (1e-3, 1e-5), (1e-4, 1e-6)]
        runs = [limit(p, t1, rtol) for rtol in ours]
        runs += [lambda p=p, t1=t1, f=peer, a=a: f(p.start, t1, *a) for a in theirs]
        labels = [f"jko, rtol = {r:g}" for r in ours]
        labels += [f"scipy BDF, rtol = {r:g}, atol = {a:g} max" for r, a in theirs]
        print(f"\n{p.name}, to t = {t1:g}\n{'':42s}CPU s          L1   |mass - 1|    least cell")
        exact = p.pde(t1)
        for label, (found, seconds) in zip(labels, timed(runs), strict=True):
            values = found if isinstance(found, np.ndarray) else found.values.numpy()
            state = jko.GridDensity.of(p.start.grid, torch.from_numpy(values))
            off = abs(values.sum() * p.start.grid.cell - 1)
            print(
                f"{label:38s}{seconds:9.3f}{error(state, exact):12.1e}{off:13.0e}{values.min():14.1e}"
            )


def table_hard(quick: bool) -> None:
    """Fronts, walls, long times."""
    n = 33 if quick else 65
    grid, space = jko.Grid((0.0, 1.0), (n, n)), jko.Grid((0.0, 1.0), (n // 2,) * 3)
    well = jko.Potential(lambda x: 5 * (x - 0.6).square().sum(-1))
    wall = jko.Potential(
        lambda x: torch.where(((x - 0.5).abs() < torch.tensor([0.1, 0.2])).all(-1), torch.inf, 0.0)
    )

    def box(x: torch.Tensor) -> torch.Tensor:
        return ((x - 0.25).abs().amax(-1) < 0.12).double()

    square = jko.GridDensity.from_function(grid, box)
    cube = jko.GridDensity.from_function(space, box)
    cases = [
        ("heat to t = 1", jko.Entropy(), square, 1.0),
        ("heat to 100", jko.Entropy(), square, 100.0),
    ]
    cases += [(f"m = {m:g}, a box", jko.PorousMedium(m), square, 0.02) for m in (1.1, 2, 3)]
    cases += [
        (f"m = {m:g}, a well and an obstacle", jko.PorousMedium(m) + well + wall, square, 0.02)
        for m in (2, 3)
    ]
    cases += [("Fokker-Planck in space", jko.Entropy() + well, cube, 0.2)]
    print(f"\n{'':38s}CPU s  |mass - 1|  status")
    for name, E, start, t1 in cases:
        begin = time.process_time()
        run = jko.limits.wasserstein(E, start, t1=t1, times=[t1])
        seconds = time.process_time() - begin
        print(f"{name:34s}{seconds:9.2f}{abs(float(run.final.mass) - 1):12.0e}  {run.status.name}")


TABLES = {"peers": table_peers, "hard": table_hard}


if __name__ == "__main__":
    main(__doc__.splitlines()[0], TABLES)
