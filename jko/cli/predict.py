"""``predict``: what a trained network says of new rows."""

from __future__ import annotations

import argparse
import csv
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from jko import runs
from jko.cli.options import HEADER
from jko.cli.refusal import refusing
from jko.cli.terminal import say
from jko.datasets.columns import Column, listed
from jko.storage.places import write_text


def run(arguments: argparse.Namespace) -> int:
    """Read the run and the rows, predict, write a table."""
    with refusing():
        out = _target(arguments.out, arguments.force)
        trained = runs.load_run(arguments.run)
        header = HEADER[arguments.header]
        preparation = trained.model.preparation
        columns, lines, where = preparation.read(arguments.csv, header)
        unknown = [name for name in arguments.copy if name not in columns]
        if unknown:
            raise ValueError(
                f"--copy {unknown[0]!r} is no column of {where}; its columns are {listed(list(columns), 50)}"
            )
        x = preparation.inputs(columns, lines, where, arguments.unseen)
    outputs = trained.model.network(trained.trajectory.final, x)
    table = _table(trained.model, outputs, [columns[name] for name in arguments.copy])
    if out is None:
        for row in table:
            say(_line(row))
    else:
        with refusing():
            write_text(out, "".join(f"{_line(row)}\n" for row in table))
        say(f"{len(x)} rows predicted by {arguments.run}: {out}")
    if set(trained.targets) <= set(columns):
        say(_score(trained.model, columns, outputs), error=out is None)
    return 0


def _target(out: str | None, force: bool) -> Path | None:
    """Where the table goes; a file that is there is refused."""
    if out is None:
        return None
    if not out.strip() or "\0" in out:
        raise ValueError(f"--out {out!r} names no file; name one, or leave --out away")
    if os.path.lexists(out) and not (force and Path(out).is_file()):
        raise ValueError(
            f"--out {out!r} is there already; name another file, or replace it by --force"
        )
    if not Path(out).parent.is_dir():
        raise ValueError(
            f"--out {out!r} cannot be written: there is no folder {str(Path(out).parent)!r}"
        )
    return Path(out)


def _table(
    model: runs.Model, outputs: np.ndarray, copied: Sequence[Column]
) -> Iterator[Sequence[str]]:
    """A line of names, then one for each row."""
    target, predicted = model.preparation.target, model.predicted(outputs)
    names, columns = list(target.columns), predicted.T.tolist()
    columns = columns if predicted.ndim == 2 else [columns]
    if target.classes:
        shares = model.probabilities(outputs).T
        names += [f"P({name})" for name in target.classes]
        columns += [[f"{share:.6g}" for share in column] for column in shares]
    yield [*(column.name for column in copied), *names]
    given = [list(column.cells) for column in copied]
    for row in zip(*given, *columns, strict=True):
        yield [cell if isinstance(cell, str) else repr(cell) for cell in row]


def _line(row: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(row)
    return buffer.getvalue()


def _score(model: runs.Model, columns: dict[str, Column], outputs: np.ndarray) -> str:
    """How right the predictions are, where the target is known."""
    target = model.preparation.target
    what = ", ".join(target.columns)
    try:
        truth = target.encoded(columns)
    except ValueError as error:
        return f"no score of {what}: {error}"
    if target.classes is not None:
        right = model.classified(outputs) == model.classified(truth)
        return f"accuracy of {what}: {right.mean():.1%} of {len(right)} rows"
    off = model.predicted(outputs) - truth
    spread = ((truth - truth.mean(0)) ** 2).sum(0)
    if not np.all(spread > 0):
        return f"root of the mean square error of {what}: {np.sqrt((off**2).mean()):.4g}"
    return f"R2 of {what}: {(1 - (off**2).sum(0) / spread).mean():.3f} of {len(truth)} rows"
