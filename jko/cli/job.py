"""The training job: what is computed from a table and some settings, without a word on the screen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

import jko
from jko import datasets
from jko.flow import Observer
from jko.measures import State

ACTIVATIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softplus": torch.nn.functional.softplus,
    "sin": torch.sin,
}
STATES = 100  # kept in a long run, at most


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
    """Split by the seed, then draw the neurons: w ~ N(0, 1), theta' ~ N(0, 1/n) and the bias ~ N(0, 1)."""
    generator = torch.Generator().manual_seed(settings.seed)
    split = datasets.split(table, settings.test_fraction, generator)
    risk = jko.Risk(split.train, activation=jko.Ridge(ACTIVATIONS[settings.activation]))
    n = split.train.n
    points = torch.randn(settings.neurons, n + 2, generator=generator, dtype=torch.float64)
    points[:, 1:-1] /= n**0.5
    start = jko.Particles(points)
    return Job(
        settings=settings,
        table=table,
        split=split,
        risk=risk,
        energy=risk + settings.lam * jko.SquaredNorm() if settings.lam else risk,
        start=start.project() if settings.formulation == "graph" else start,
    )


def train(job: Job, observers: Sequence[Observer] = ()) -> tuple[jko.Trajectory, float]:
    """The flow, and its CPU seconds."""
    settings = job.settings
    count = settings.steps or (settings.t1 or 0.0) / settings.tau
    began = time.process_time()
    trajectory = jko.flow(
        job.energy,
        job.start,
        tau=settings.tau,
        steps=settings.steps,
        t1=settings.t1,
        save=max(1, int(count) // STATES),
        observers=observers,
    )
    return trajectory, time.process_time() - began


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
