"""The training job: what is computed from a table and some settings, without a word on the screen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import jko
from jko import datasets, distributed
from jko.cli import memory, processes
from jko.flows import Observer
from jko.measures import State
from jko.networks import drawn, ridge
from jko.storage.states import held

STATES = 100  # kept in a long run, up to twice as many
FIRST, PAUSE = 0.5, 30.0  # seconds until a run is saved first, and between two saves at most
SHARE = 20  # times as long as a save takes, it goes on before the next


SAME = 1e-9  # relative; energies and times that differ by less are those of one run


@dataclass(frozen=True)
class Settings:
    """The options that decide what is computed."""

    neurons: int
    activation: str
    formulation: str
    tau: float
    steps: int | None
    t1: float | None
    lam: float
    test_fraction: float
    seed: int
    threads: int
    examine: bool = False


@dataclass(frozen=True, eq=False)
class Job:
    """A table, cut and standardised, with the energy to lower and the neurons to start from."""

    settings: Settings
    table: datasets.Table
    split: datasets.Split
    risk: jko.Risk
    energy: jko.Energy
    start: State


def prepare(table: datasets.Table, settings: Settings) -> Job:
    """Split by the seed, then draw the neurons: w ~ N(0, 1), theta' ~ N(0, 1/n) and the bias ~ N(0, 1).

    ValueError if the table cannot be split, or the training would not fit into memory.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    split = datasets.split(table, settings.test_fraction, generator)
    states = int(min(_count(settings), 2 * STATES))
    data = split.train
    memory.refuse_too_large(settings.neurons, data.M, data.n, states, data.k)
    risk = jko.Risk(data, activation=ridge(settings.activation))
    start = drawn(settings.neurons, data, generator)
    return Job(
        settings=settings,
        table=table,
        split=split,
        risk=risk,
        energy=risk + settings.lam * jko.SquaredNorm() if settings.lam else risk,
        start=start.project() if settings.formulation == "graph" else start,
    )


@dataclass
class _Pause:
    """An observer that ends a flow after a while."""

    seconds: float

    def __post_init__(self) -> None:
        self.began = time.monotonic()

    def __call__(self, k: int, t: float, result: jko.StepResult) -> None:
        """StopIteration when the time is over."""
        if time.monotonic() - self.began > self.seconds:
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
    began, wait = time.process_time(), FIRST
    while True:
        pause = _Pause(wait if checkpoint else float("inf"))
        try:
            trajectory = jko.flow(
                job.energy,
                start,
                tau=settings.tau,
                steps=settings.steps,
                t1=settings.t1,
                solver=jko.LBFGS.training(examine=settings.examine),
                save=max(1, int(_count(settings)) // STATES),
                observers=(*observers, pause),
            )
        except jko.StepFailed as failure:
            if checkpoint:
                failure.trajectory.save(checkpoint)
            raise
        if trajectory.status is jko.Status.INTERRUPTED and distributed.count() > 1:
            raise KeyboardInterrupt(processes.ENDED)  # the others may be at another step
        if checkpoint:
            saving = time.monotonic()
            trajectory.save(checkpoint)
            wait = min(PAUSE, SHARE * (time.monotonic() - saving))
        if trajectory.status is not jko.Status.STOPPED:
            return trajectory, time.process_time() - began
        start = trajectory


def _count(settings: Settings) -> float:
    """Steps, as they are asked for."""
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
    tau = float(run.times[1] - run.times[0]) if done else settings.tau
    if done > 1 and not abs(tau - settings.tau) <= SAME * settings.tau:
        raise ValueError(
            f"{name!r} was made with --tau {tau:g}, not {settings.tau:g}; --resume needs the same"
        )
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
    """The share of right classes, or R2; None where R2 is 0 / 0."""
    output = job.risk.predict(state, data.x)
    if job.table.classes:
        return float(((output > 0) == (data.f > 0)).double().mean())
    spread = float(((data.f - data.f.mean()) ** 2).sum())
    return 1 - float(((output - data.f) ** 2).sum()) / spread if spread > 0 else None


def score_name(job: Job) -> str:
    """What the score is."""
    return "accuracy" if job.table.classes else "R2"
