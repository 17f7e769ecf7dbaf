"""``train``: read real data, train a network by JKO steps, say what was proved, write it down."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import jko
from jko import datasets, distributed
from jko.cli import processes, report
from jko.cli.folder import Folder
from jko.cli.job import Job, Settings, prepare, refuse_another_run, score, score_name, train
from jko.cli.options import HEADER
from jko.cli.refusal import refusing
from jko.cli.terminal import say
from jko.distributed import ProcessLost, Stopped
from jko.measures import State

OF_CSV = ("target", "ignore", "keep", "header", "encode", "fill", "task")
STEPS = 20  # where neither steps nor t1 is given


def run(arguments: argparse.Namespace) -> int:
    """The command: everything is read and checked before the training; saved during it, reported after it."""
    if arguments.steps is None and arguments.t1 is None:
        arguments.steps = STEPS
    settings = Settings(
        **{name: getattr(arguments, name) for name in Settings.__dataclass_fields__}
    )
    torch.set_num_threads(settings.threads)
    processes.join()
    try:
        with refusing():
            _refuse_contradictions(arguments)
            job = distributed.together(lambda: prepare(_table(arguments), settings))
            folder = processes.by_first(lambda: _folder(arguments, job))
            start = _start(arguments, job, folder)
    except Stopped:
        return 2
    try:
        return _trained(arguments, job, folder, start)
    except (jko.StepFailed, ProcessLost) as failure:
        return _unfinished(str(failure), folder, 1)
    except KeyboardInterrupt as stop:
        return _unfinished(str(stop) or "interrupted from the keyboard", folder, 130)
    except (OSError, ValueError) as error:
        if isinstance(error, BrokenPipeError) or not isinstance(error.__cause__ or error, OSError):
            raise
        return _unfinished(str(error), folder, 1)  # the disk is full, or the folder has gone


def _trained(
    arguments: argparse.Namespace, job: Job, folder: Folder | None, start: State | jko.Trajectory
) -> int:
    observers = () if arguments.json or not processes.first() else (_progress(job),)
    checkpoint = folder.trajectory if folder else None
    trajectory, seconds = train(job, start, observers, checkpoint)
    if not arguments.json and sys.stderr is not None and sys.stderr.isatty():
        say("", error=True)
    if trajectory.status is jko.Status.INTERRUPTED:
        return _unfinished("interrupted from the keyboard", folder, 130)
    trajectory = processes.ends(trajectory)
    if not processes.first():
        return 0
    summary = report.summary(job, trajectory, seconds)
    if folder:
        folder.written.append(folder.trajectory.name)
        report.write(folder, summary, job, trajectory)
    for line in (
        report.as_json(summary).split("\n") if arguments.json else report.table(summary, folder)
    ):
        say(line)
    return 0


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    if arguments.json and arguments.out is None and (arguments.resume or arguments.force):
        raise ValueError(
            "--json writes no files without --out, so --resume and --force need --out DIR"
        )
    if arguments.json and arguments.out is None and arguments.save_every is not None:
        raise ValueError("--json writes no files without --out, so --save-every needs --out DIR")
    if arguments.resume and arguments.device != "cpu":
        raise ValueError(
            f"--resume goes on where numbers are read to, on the CPU, and not on {arguments.device!r}; leave --device "
            "away"
        )
    if (arguments.dataset is None) == (arguments.csv is None):
        raise ValueError(
            f"train needs either DATA ({', '.join(datasets.NAMES)}) or --csv FILE --target COLUMN; "
            f"got {'neither' if arguments.csv is None else 'both'}"
        )


def _table(arguments: argparse.Namespace) -> datasets.Table:
    if arguments.csv is None:
        stray = [name for name in OF_CSV if getattr(arguments, name) not in (None, [], False)]
        if stray:
            raise ValueError(
                f"{' and '.join(f'--{name}' for name in stray)} belong{'s' * (len(stray) == 1)} to --csv FILE; "
                f"{arguments.dataset!r} has a target already, and numbers only"
            )
        return datasets.load(arguments.dataset)
    if not arguments.target:
        raise ValueError(
            "--target is missing; name the column of --csv FILE to learn: --target COLUMN"
        )
    encode = arguments.encode
    return datasets.read_csv(
        arguments.csv,
        arguments.target,
        arguments.ignore,
        keep=arguments.keep,
        header=HEADER[arguments.header],
        encode=encode or encode is not None,
        fill=arguments.fill,
        task=arguments.task,
    )


def _folder(arguments: argparse.Namespace, job: Job) -> Folder | None:
    if arguments.out is not None:
        return Folder.given(arguments.out, force=arguments.force, resume=arguments.resume)
    if arguments.json:
        return None
    name = f"runs/{Path(job.table.name).stem}"
    if arguments.force:
        return Folder.given(name, force=True)
    return Folder.numbered(name, resume=arguments.resume)


def _start(
    arguments: argparse.Namespace, job: Job, folder: Folder | None
) -> State | jko.Trajectory:
    """The neurons as they are drawn, or the saved run that goes on."""
    if folder is None:
        return distributed.together(lambda: processes.shared(job.start))
    run = folder.saved() if arguments.resume else None
    if run is not None:
        distributed.together(lambda: refuse_another_run(job, run, str(folder.trajectory)))
    processes.by_first(lambda: folder.clear(run=run is None))
    return distributed.together(lambda: processes.shared(job.start) if run is None else run)


def _progress(job: Job) -> jko.Progress:
    if distributed.count() > 1:
        return jko.Progress()  # the others would have to know that it is asked for more
    regularisation = jko.SquaredNorm()

    def more(k: int, t: float, result: jko.StepResult) -> dict[str, float]:
        risk = result.energy - job.settings.lam * float(regularisation(result.state))
        part, data = job.scored
        right = score(job, result.state, data)
        return {"risk": risk} | ({} if right is None else {f"{part} {score_name(job)}": right})

    return jko.Progress(more)


def _unfinished(sentence: str, folder: Folder | None, code: int) -> int:
    """Say why it ended, and what of it is saved, as the disk has it; not to be interrupted."""
    with _deaf():
        saved = folder.account() if folder else "nothing was saved, since no --out was given"
        say(f"jko train: {sentence}; {saved}", error=True)
    return code


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C does nothing for a moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
