"""The folder of a training run: it never holds two, and what is in it can be said truthfully at any moment."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import jko
from jko import distributed
from jko.cli import processes
from jko.runs import FILE, TRAJECTORY

PARTS = "trajectory.*of*.npz"  # of a run of several processes
FILES = (TRAJECTORY, FILE, "summary.json", "energy.png", "prediction.png")


@dataclass
class Folder:
    """Where the files go; each is written whole or not at all.

    Attributes
    ----------
    path : Path
        The folder.
    written : list of str
        Files of this run.
    remark : str
        Why pictures are missing.
    """

    path: Path
    written: list[str] = field(default_factory=list)
    remark: str = ""

    @classmethod
    def given(cls, out: str, *, force: bool = False, resume: bool = False) -> Folder:
        """The folder that ``--out`` names, made and tried before anything is computed; one that is taken is refused."""
        if not out.strip():
            raise ValueError(f"--out {out!r} names no folder; name one, or leave --out away")
        taken = _taken(Path(out))
        if taken and not (force or resume):
            raise ValueError(
                f"--out {out!r} holds {' and '.join(taken)} already; name another folder, go on with that run by "
                "--resume, or replace it by --force"
            )
        return _ready(out)

    @classmethod
    def numbered(cls, out: str, *, resume: bool = False) -> Folder:
        """``out``, or the first of ``out-2``, ``out-3``, ... that is not taken; the last that is, to resume it."""
        names = (out if k == 1 else f"{out}-{k}" for k in count(1))
        last = out
        for path in names:
            if not _taken(Path(path)):
                return _ready(last if resume else path)
            last = path
        raise AssertionError

    @property
    def trajectory(self) -> Path:
        """The file that every save replaces."""
        return self.path / FILES[0]

    def clear(self, run: bool = True) -> None:
        """What an earlier run left goes; if it goes on, ``run`` is False: only its report, which is no longer true."""
        for name in FILES if run else FILES[2:]:
            (self.path / name).unlink(missing_ok=True)
        for part in self.path.glob(PARTS) if run else ():
            part.unlink(missing_ok=True)

    def saved(self) -> jko.Trajectory | None:
        """The run as it lies there."""
        return processes.saved(self.trajectory) if self.trajectory.exists() else None

    def account(self) -> str:
        """What is saved and what is not, read from the disk."""
        try:
            steps = distributed.steps(self.trajectory) if self.trajectory.exists() else None
        except ValueError as error:
            return f"what was saved cannot be read: {error}"
        if steps is None:
            return "nothing was saved"
        there = [name for name in FILES[1:] if (self.path / name).exists()]
        report = f", beside {' and '.join(there)}" if there else ""
        return (
            f"{steps} steps were done, they are in {self.trajectory}{report}; "
            "the same command with --resume goes on from there"
        )


def _taken(path: Path) -> list[str]:
    """Files of a run that are there."""
    try:
        return [name for name in FILES if os.path.lexists(path / name)]
    except ValueError:  # a zero byte
        return []


def _ready(out: str) -> Folder:
    """Make the folder and try it."""
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"--out {out!r} cannot be written: {why}; name a folder that can"
        ) from None
    for name in FILES:
        if (Path(out) / name).is_dir():
            raise ValueError(
                f"--out {out!r} cannot be written: {name!r} in it is a folder; name another"
            )
    return Folder(Path(out))
