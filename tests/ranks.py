"""What the tests run in two processes, and once more in their own: the same bits are wanted.

RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=... python tests/ranks.py FOLDER
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

import jko
from jko import distributed
from jko.distributed import Sharded
from jko.steps.lagrangian import Minimised, solve_lagrangian

GENERATOR = torch.Generator().manual_seed(3)
X = torch.randn(30, 3, generator=GENERATOR, dtype=torch.float64)
POINTS = torch.randn(2000, 5, generator=GENERATOR, dtype=torch.float64)
WEIGHTS = torch.rand(2000, generator=GENERATOR, dtype=torch.float64) + 0.5
RISK = jko.Risk(jko.Data(X, X[:, 0].sin()), activation=jko.Ridge(torch.tanh))
ENERGY = RISK + 1e-2 * jko.SquaredNorm()
TRAINING = jko.LBFGS.training()


class Spread(jko.Energy):
    """``1/2 |int xi dmu|^2``, of which torch alone knows the slope and the curvature."""

    def __call__(self, state: jko.State) -> Tensor:
        return 0.5 * state.atoms.mean().square().sum()

    def variation(self, state: jko.State, at: Tensor | None = None) -> Tensor:
        mu = state.atoms
        return (mu.points if at is None else at) @ mu.mean()


def flow(start: jko.State, steps: int = 2, energy: jko.Energy = ENERGY, **options: object):
    return jko.flow(energy, start, **({"tau": 0.5, "steps": steps, "solver": TRAINING} | options))


def whole(count: int = 2000, **options: object) -> Sharded:
    return Sharded(POINTS[:count], **options)


def drawn(a: int, b: int) -> Tensor:
    return torch.randn(b - a, 5, generator=torch.Generator().manual_seed(a), dtype=torch.float64)


#: name -> a run, the same in any number of processes
RUNS = {
    "trained": lambda: flow(whole(), 5),
    "examined": lambda: flow(whole(600), solver=None, tau=0.1),
    "default": lambda: flow(whole(600), solver=None, tau=2.0),
    "single": lambda: flow(Sharded(POINTS.float()), energy=jko.SquaredNorm(), solver=None),
    "weighted, in a ball": lambda: flow(
        whole(weights=WEIGHTS / WEIGHTS.sum(), domain=jko.Ball([0.0] * 5, 4.8), shards=4)
    ),
    "tight": lambda: flow(whole(), solver=jko.LBFGS(tol=1e-8, examine=False)),
    "scaled": lambda: flow(
        whole(), metric=jko.metrics.ScaledWasserstein([1.0, 2.0, 2.0, 2.0, 1.0])
    ),
    "of second order": lambda: flow(whole(), scheme=jko.SDIRK2()),
    "with a history": lambda: flow(whole(300), scheme=jko.BDF2()),
    "by Newton": lambda: flow(whole(300), solver=jko.BlockNewton(examine=False)),
    "by Krylov": lambda: flow(
        whole(300), energy=ENERGY - 0.1 * RISK, solver=jko.BlockNewton(examine=False)
    ),
    "of another energy": lambda: flow(whole(300), energy=Spread() + jko.SquaredNorm()),
    "drawn": lambda: flow(Sharded.drawn(1000, drawn, shards=2)),
}


def digest(run: jko.Trajectory) -> dict[str, object]:
    """The bits of a run."""
    return {
        "energies": [float(e).hex() for e in run.energies],
        "slacks": [float(s).hex() for s in run.slacks],
        "bounds": [float(b).hex() for b in run.columns["bounds"]],
        "proofs": run.columns["proofs"].tolist(),
        "points": bits(run.final),
    }


def relabelled() -> dict[str, object]:
    """A step whose minimiser mixes up the atoms at first."""
    problem = jko.steps.StepProblem(ENERGY, jko.Wasserstein(), whole(300), 0.1)
    order = torch.randperm(300, generator=torch.Generator().manual_seed(5))
    calls: list[int] = []

    def minimise(problem, penalty, point, memory):
        calls.append(1)
        if len(calls) > 1:
            return jko.LBFGS().minimise(problem, penalty, point, memory)
        mixed = penalty.objective(problem)(problem.base.reordered(point.x, order))
        return Minimised(mixed, 0.0, 1, 1, jko.Status.CONVERGED, {})

    result = solve_lagrangian(problem, minimise)
    return {
        "calls": len(calls),
        "optimal": result.coupling.optimal,
        "cost": result.cost.hex(),
        "points": bits(result.state),
    }


def bits(state: jko.State) -> str:
    """A digest of all atoms."""
    points = distributed.gathered(state).points
    return hashlib.sha256(points.numpy().tobytes()).hexdigest()


def messages() -> dict[str, list[int]]:
    """Of a run of training and one of tight steps: all that is sent, the steps, the evaluations."""
    sent, gather = [0], dist.all_gather

    def counted(*arguments: object) -> object:
        sent[0] += 1
        return gather(*arguments)

    def count(**options: object) -> list[int]:
        sent[0] = 0
        run = flow(whole(), **options)
        return [sent[0], len(run.times) - 1, int(run.columns["evaluations"].sum())]

    dist.all_gather = counted
    try:
        tight = jko.LBFGS(tol=1e-8, examine=False)
        return {"training": count(steps=10), "tight": count(solver=tight)}
    finally:
        dist.all_gather = gather


def refused(action) -> str:
    try:
        action()
    except (TypeError, ValueError, RuntimeError) as refusal:
        return str(refusal)
    return ""


def refusals() -> dict[str, str]:
    mu = whole(300)

    def fails_in_one() -> None:
        if distributed.rank() == 1:
            raise ValueError("no such thing")

    return {
        "pairs": refused(lambda: flow(mu, energy=jko.Interaction(lambda z: z.square().sum(-1)))),
        "kernels": refused(lambda: flow(mu, energy=jko.KernelEntropy(1.0))),
        "distance": refused(lambda: jko.distance(mu, mu)),
        "bound": refused(lambda: jko.optimality(ENERGY, mu)),
        "curvature": refused(lambda: flow(mu, energy=Spread(), solver=jko.BlockNewton())),
        "plans": refused(lambda: flow(mu, solver=jko.Plans())),
        "merging": refused(mu.project),
        "shards": refused(lambda: whole(shards=5)),
        "one process": refused(lambda: distributed.together(fails_in_one)),
    }


def saved(folder: Path) -> dict[str, dict[str, object]]:
    """Runs that are saved, by a flow and by themselves, and continued."""
    flow(whole(), 3, checkpoint=folder / "short")
    flow(whole(), 3, checkpoint=folder / "long", hold=1)
    flow(whole(), 3).save(folder / "by hand")
    flow(whole(), 2, checkpoint=folder / "by hand", hold=1)  # replaced
    names = ("short", "long", "by hand")
    return {name: digest(flow(distributed.load(folder / name), 5)) for name in names}


def end(folder: Path) -> None:
    """A run of which one process dies after four steps."""

    def die(k: int, t: float, result: jko.StepResult) -> None:
        if k == 4 and distributed.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    flow(whole(), 100, checkpoint=folder / "killed", observers=[die])


def main(folder: Path) -> None:
    distributed.start(timeout=60)
    found = {
        "runs": {name: digest(make()) for name, make in RUNS.items()},
        "relabelled": relabelled(),
        "saved": saved(folder),
        "refusals": refusals(),
        "messages": messages(),
    }
    (folder / f"{distributed.rank()}.json").write_text(json.dumps(found))
    end(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
