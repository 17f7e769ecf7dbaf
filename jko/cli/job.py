"""The training job: what is computed from a table and some settings, without a word on the screen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import jko
from jko import datasets, distributed, runs
from jko.cli import memory, processes
from jko.cli.versions import versions
from jko.flows import Observer
from jko.measures import State
from jko.networks import drawn
from jko.storage.states import held

STATES = 100  # kept in a long run, up to twice as many
FIRST, PAUSE = 0.5, 30.0  # seconds until a run is saved first, and between two saves at most
GREEDY = 100  # steps of a greedy run up to a time, more or less
SHARE = 20  # times as long as a save takes, it goes on before the next


SAME = 1e-9  # relative; energies and times that differ by less are those of one run


@dataclass(frozen=True)
class Settings:
    """The options that decide what is computed."""

    neurons: int
    activation: str
    formulation: str
    tau: float | str  # or "greedy"
    steps: int | None
    t1: float | None
    lam: float
    test_fraction: float
    seed: int
    threads: int
    examine: bool = False
    loss: str = "squared"
    dtype: str = "float64"
    device: str = "cpu"
    save_every: int | None = None

    @property
    def states(self) -> int:
        """Steps between two states that are kept."""
        return self.save_every or max(1, int(_count(self)) // STATES)


@dataclass(frozen=True, eq=False)
class Job:
    """A table, cut and standardised, with the energy to lower and the neurons to start from."""

    settings: Settings
    table: datasets.Table
    split: datasets.Split
    model: runs.Model
    risk: jko.Risk
    energy: jko.Energy
    start: State

    @property
    def scored(self) -> tuple[str, jko.Data]:
        """The rows that tell how good it is, and their name: those held out, or the training rows if there are none."""
        test = self.split.test
        return ("training", self.split.train) if test is None else ("test", test)


def prepare(table: datasets.Table, settings: Settings) -> Job:
    """Split by the seed, then draw the neurons: w ~ N(0, 1), theta' ~ N(0, 1/n) and the bias ~ N(0, 1).

    ValueError if the table cannot be split, the training would not fit into memory, or there is no such device.
    """
    if settings.loss == "logistic" and table.classes is None:
        raise ValueError(
            f"--loss logistic is for classes, and {', '.join(table.target.columns)} of {table.name!r} is a regression; "
            "leave it away, or say --task classification"
        )
    _try_device(settings.device)
    generator = torch.Generator().manual_seed(settings.seed)
    dtype = getattr(torch, settings.dtype)
    split = datasets.split(
        table, settings.test_fraction, generator, dtype=dtype, device=settings.device
    )
    data, count = split.train, int(_count(settings))
    if settings.formulation == "graph" and data.k > 1:
        raise ValueError(
            f"--formulation graph is for one output, and {table.name!r} needs {data.k}: H is a number; leave it "
            "away, or learn one target of two classes or of numbers"
        )
    if settings.device == "cpu":
        states = (
            min(count, 2 * STATES)
            if settings.save_every is None
            else 1 + count // settings.save_every
        )
        memory.refuse_too_large(settings.neurons, data.M, data.n, states, data.k)
    preparation = datasets.Preparation.of(table, split)
    model = runs.Model(preparation, settings.activation, settings.loss)
    risk = model.risk(data)
    start = drawn(settings.neurons, data, generator)
    return Job(
        settings=settings,
        table=table,
        split=split,
        model=model,
        risk=risk,
        energy=risk + settings.lam * jko.SquaredNorm() if settings.lam else risk,
        start=start.project() if settings.formulation == "graph" else start,
    )


def _try_device(name: str) -> None:
    """ValueError if torch has no such device here."""
    try:
        torch.zeros(1, device=name) + 1
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(
            f"--device {name!r} cannot be used here: {why}; leave it away, or name one that torch knows, such as cuda"
        ) from None


def facts(job: Job) -> dict[str, Any]:
    """What the folder of the run keeps for predictions."""
    rows = {"count": len(job.table.f), "held_out": job.split.test_rows.tolist()}
    settings = asdict(job.settings)
    more = {"table": job.table.name, "settings": settings, "versions": versions(), "rows": rows}
    return runs.facts_of(job.model, **more)


@dataclass
class _Pause:
    """An observer that ends a flow after a while, or after every so many steps."""

    seconds: float
    every: int | None

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, k: int, t: float, result: jko.StepResult) -> None:
        """StopIteration when the time is over, or at such a step."""
        over = time.monotonic() - self.began > self.seconds
        if over or (self.every is not None and k % self.every == 0):
            raise StopIteration


def train(
    job: Job,
    start: State | jko.Trajectory,
    observers: Sequence[Observer] = (),
    checkpoint: Path | None = None,
) -> tuple[jko.Trajectory, float]:
    """The flow from ``start``, or on from a saved run, and its CPU seconds.

    With a checkpoint it is saved there at the end and on the way, as often as takes a twentieth of the time, and at
    least every half a minute: flows one after another give the bits of a single one.
    """
    settings = job.settings
    began, wait, told = time.process_time(), FIRST, False
    while True:
        pause = _Pause(wait, settings.save_every) if checkpoint else _Pause(float("inf"), None)
        try:
            trajectory = jko.flow(
                job.energy,
                start,
                tau=jko.Greedy() if isinstance(settings.tau, str) else settings.tau,
                steps=settings.steps,
                t1=settings.t1,
                solver=jko.LBFGS.training(examine=settings.examine),
                save=settings.states,
                observers=(*observers, pause),
            )
        except jko.StepFailed as failure:
            if checkpoint:
                _save(job, failure.trajectory, checkpoint, told)
            raise
        if trajectory.status is jko.Status.INTERRUPTED and distributed.count() > 1:
            raise KeyboardInterrupt(processes.ENDED)  # the others may be at another step
        if checkpoint:
            saving = time.monotonic()
            _save(job, trajectory, checkpoint, told)
            told = True
            wait = min(PAUSE, SHARE * (time.monotonic() - saving))
        if trajectory.status is not jko.Status.STOPPED:
            return trajectory, time.process_time() - began
        start = trajectory


def _save(job: Job, trajectory: jko.Trajectory, path: Path, told: bool) -> None:
    """The run, and beside it what predictions need, unless that was ``told`` before."""
    trajectory.save(path)
    if processes.first() and not told:
        runs.write_facts(path.parent, facts(job))


def _count(settings: Settings) -> float:
    """Steps, as they are asked for."""
    if isinstance(settings.tau, str):
        return settings.steps or GREEDY
    return settings.steps or min(1e9, (settings.t1 or 0.0) / settings.tau)


def refuse_another_run(job: Job, run: jko.Trajectory, name: str) -> None:
    """ValueError if ``run`` is not a beginning of this job: it must have its start, its energy there, its tau."""
    settings, done, start = job.settings, len(run.times) - 1, processes.shared(job.start, run)
    if not start.every(_same(run.states[0], start)):
        raise ValueError(
            f"{name!r} is no beginning of this run: it starts from other neurons; --resume needs the data, --neurons, "
            "--seed, --test-fraction and --formulation of that run"
        )
    here, there = float(job.energy(start)), float(run.energies[0])
    if not abs(here - there) <= SAME * max(abs(here), abs(there)):
        raise ValueError(
            f"{name!r} is no beginning of this run: its energy is {there:g} at the start, here it is {here:g}; "
            "--resume needs the data, --activation and --lam of that run"
        )
    _refuse_another_tau(settings.tau, run, name)
    if settings.steps is not None and settings.steps < done:
        raise ValueError(
            f"{name!r} has {done} steps already; --resume needs --steps {done} or more"
        )
    if settings.t1 is not None and settings.t1 < run.times[-1]:
        raise ValueError(
            f"{name!r} is at t = {run.times[-1]:g} already; --resume needs a later --t1"
        )


def _same(a: State, b: State) -> bool:
    """Whether two states are the same to the bit."""
    if type(a) is not type(b):
        return False
    pairs = [(getattr(a, name), getattr(b, name)) for name in held(type(a))]
    return all(
        x.dtype == y.dtype and torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y
        for x, y in pairs
    )


def score(job: Job, state: State, data: jko.Data) -> float | None:
    """The share of right classes, or R2, the mean over the targets; None where R2 is 0 / 0."""
    output, f = said(job, state, data)
    if job.table.classes:
        return float((job.model.classified(output) == job.model.classified(f)).mean())
    spread = ((f - f.mean(0)) ** 2).sum(0)
    return float((1 - ((output - f) ** 2).sum(0) / spread).mean()) if np.all(spread > 0) else None


def said(job: Job, state: State, data: jko.Data) -> tuple[np.ndarray, np.ndarray]:
    """What the network says of the rows, and what it should."""
    pair = job.risk.predict(state, data.x), data.f
    return pair[0].detach().double().cpu().numpy(), pair[1].double().cpu().numpy()


def score_name(job: Job) -> str:
    """What the score is."""
    return "accuracy" if job.table.classes else "R2"


def confusion(model: runs.Model, outputs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """How many rows of each class (down) were taken for each (across)."""
    count = len(model.preparation.target.classes or ())
    counts = np.zeros((count, count), dtype=int)
    np.add.at(counts, (model.classified(truth), model.classified(outputs)), 1)
    return counts


def _refuse_another_tau(tau: float | str, run: jko.Trajectory, name: str) -> None:
    """ValueError where the steps of a run were of another length; one alone may have been cut short."""
    there = "greedy" if "proposed" in run.columns else float(run.times[1:2].sum())
    numbers = isinstance(tau, float) and isinstance(there, float)
    close = numbers and (len(run.times) == 2 or abs(there - tau) <= SAME * tau)  # type: ignore[operator]
    if not (len(run.times) < 2 or there == tau or close):
        was, now = (t if isinstance(t, str) else f"{t:g}" for t in (there, tau))
        raise ValueError(f"{name!r} was made with --tau {was}, not {now}; --resume needs the same")
