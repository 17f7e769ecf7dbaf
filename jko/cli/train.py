"""``train``: read real data, train a network by JKO steps, say what was proved, write it down."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

import jko
from jko import datasets
from jko.cli import report
from jko.cli.job import Job, Settings, prepare, score, score_name, train
from jko.cli.refusal import refusing

STEPS = 20  # where neither steps nor t1 is given


def run(arguments: argparse.Namespace) -> int:
    """The command: everything is read and checked before the training, and written after it."""
    if arguments.steps is None and arguments.t1 is None:
        arguments.steps = STEPS
    settings = Settings(
        **{name: getattr(arguments, name) for name in Settings.__dataclass_fields__}
    )
    with refusing():
        job = prepare(_table(arguments), settings)
        out = arguments.out or (None if arguments.json else f"runs/{Path(job.table.name).stem}")
        folder = None if out is None else report.Folder.ready(out)
    torch.set_num_threads(settings.threads)
    try:
        trajectory, seconds = train(job, () if arguments.json else (_progress(job),))
    except jko.StepFailed as failure:
        return _unfinished(str(failure), failure.trajectory, folder, 1)
    if not arguments.json and sys.stderr.isatty():
        print(file=sys.stderr)
    if trajectory.status is jko.Status.INTERRUPTED:
        return _unfinished(trajectory.status.value, trajectory, folder, 130)
    if folder:
        folder.trajectory(trajectory)
    summary = report.summary(job, trajectory, seconds)
    if folder:
        folder.rest(summary, job, trajectory)
    print(report.as_json(summary) if arguments.json else report.table(summary, folder))
    return 0


def _table(arguments: argparse.Namespace) -> datasets.Table:
    if (arguments.dataset is None) == (arguments.csv is None):
        raise ValueError(
            f"train needs either DATA ({' or '.join(datasets.NAMES)}) or --csv FILE --target COLUMN; "
            f"got {'neither' if arguments.csv is None else 'both'}"
        )
    if arguments.csv is None:
        if arguments.target is not None or arguments.ignore:
            raise ValueError(
                f"--target and --ignore belong to --csv FILE; {arguments.dataset!r} has a target already"
            )
        return datasets.load(arguments.dataset)
    if arguments.target is None:
        raise ValueError(
            "--target is missing; name the column of --csv FILE to learn: --target COLUMN"
        )
    return datasets.read_csv(arguments.csv, arguments.target, arguments.ignore)


def _progress(job: Job) -> jko.Progress:
    regularisation = jko.SquaredNorm()

    def more(k: int, t: float, result: jko.StepResult) -> dict[str, float]:
        risk = result.energy - job.settings.lam * float(regularisation(result.state))
        right = score(job, result.state, job.split.test)
        return {"risk": risk} | ({} if right is None else {f"test {score_name(job)}": right})

    return jko.Progress(more)


def _unfinished(
    sentence: str, trajectory: jko.Trajectory, folder: report.Folder | None, code: int
) -> int:
    """Save what there is and say so."""
    done = f"{len(trajectory.times) - 1} steps were done"
    where = "nothing was saved, since no --out was given"
    if folder:
        where = f"they are in {folder.trajectory(trajectory)}"
    print(f"jko train: {sentence}; {done}, {where}", file=sys.stderr)
    return code
