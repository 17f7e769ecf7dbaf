"""Names of saved runs, and files that take their place whole or not at all.

What is written goes to a file of its own beside the place, ``.jko-PROCESS-NUMBER.part``, locked as long as its writer
lives, and is then renamed.  So writers of one name in several threads or processes never meet: the last one wins, and
every file is whole.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import singledispatch
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # no locks here: files of killed runs stay until somebody removes them
    fcntl = None  # type: ignore[assignment]

SUFFIX = ".npz"
PART = re.compile(r"\.(?:jko-|.+\.npz\.)(\d+)(?:-\d+)?\.part")
_numbers = itertools.count()


class Place:
    """Where this process writes a run: ``path``, and whether it writes it ``alone``."""

    alone = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def settled(self) -> None:
        """What is there is whole now."""


@singledispatch
def place(state: Any, path: Path) -> Place:
    """The place for a run of such states, of the name ``path``; ``@place.register`` one for those of many processes."""
    return Place(path)


def to_write(path: Any, name: str = "the path") -> Path:
    """Where a run will be saved: ``path``, with the suffix ``.npz`` if it has none; refused if nothing can go there."""
    path = _named(path, name)
    path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
    try:
        if not path.parent.is_dir():
            raise ValueError(
                f"cannot save to {str(path)!r}: the folder {str(path.parent)!r} does not exist; create it first"
            )
        kind = path.stat().st_mode if path.exists() else stat.S_IFREG
    except OSError as error:
        raise cannot_save(path, error) from error
    if not stat.S_ISREG(kind):
        raise ValueError(
            f"cannot save to {str(path)!r}: it is {_what(kind)}, not a file; choose another name"
        )
    return path


def to_read(path: Any, name: str = "the path") -> Path:
    """The file of a saved run: ``path`` itself, or with the suffix ``.npz``."""
    path = _named(path, name)
    if path.suffix != SUFFIX and not _mode(path, stat.S_ISREG):
        full = path.with_name(path.name + SUFFIX)
        path = full if _mode(full) or not _mode(path) else path
    mode = _mode(path)
    if not mode:
        raise ValueError(f"there is no file {str(path)!r}; check the path of the saved run")
    if not stat.S_ISREG(mode):
        raise refusal(path, f"it is {_what(mode)}, not a file")
    return path


def refusal(path: Path, why: object) -> ValueError:
    """The one sentence for everything that :meth:`Trajectory.load` cannot believe."""
    return ValueError(
        f"{str(path)!r} is not a run saved by jko, or it was changed: {why}; load the file that Trajectory.save or "
        "a checkpoint of jko.flow wrote"
    )


def cannot_save(path: Path, error: OSError) -> ValueError:
    """The sentence for what the system refuses."""
    return ValueError(
        f"cannot save to {str(path)!r}: {error.strerror or error}; choose a name and a folder that can be written"
    )


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of ``path`` when the block has ended without an error."""
    aside: Path | None = None
    try:
        handle, aside = part_beside(path)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            put(aside, path)
            aside = None
    except OSError as error:
        raise cannot_save(path, error) from error
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> Path:
    """A text file, written whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())
    return path


def part_beside(path: Path) -> tuple[int, Path]:
    """A new locked file in the folder of ``path``: its descriptor, to read and write, and its name."""
    _sweep(path.parent)
    while True:
        aside = path.with_name(f".jko-{os.getpid()}-{next(_numbers)}.part")
        with suppress(FileExistsError):
            handle = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            lock(handle)
            return handle, aside


def put(aside: Path, path: Path) -> None:
    """Rename, for good: the folder reaches the disk too."""
    os.replace(aside, path)
    with suppress(OSError):  # some file systems have no folders that can be synced
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def lock(handle: int) -> bool:
    """Whether the file is now ours alone, until it is closed or :func:`unlock`."""
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def unlock(handle: int) -> None:
    """Let others write to it."""
    if fcntl is not None:
        fcntl.flock(handle, fcntl.LOCK_UN)


def _sweep(folder: Path) -> None:
    """Remove what killed runs left: files whose process is gone and that nobody holds."""
    if fcntl is None:
        return
    with suppress(OSError):
        names = [entry.name for entry in os.scandir(folder) if entry.name.startswith(".")]
        for name, process in ((name, PART.fullmatch(name)) for name in names):
            if process is not None and not _lives(int(process[1])):
                _remove_orphan(folder / name)


def _remove_orphan(part: Path) -> None:
    with suppress(OSError):
        handle = os.open(part, os.O_RDWR)
        try:
            if lock(handle):
                part.unlink()
        finally:
            os.close(handle)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it lives, and is somebody else's
        return True
    return True


def _named(path: Any, name: str) -> Path:
    """A path with a last part, or a sentence."""
    path = path_of(path, name)
    if path.name in ("", ".."):
        raise ValueError(f"{name} = {str(path)!r} names a folder; give the name of a file in it")
    return path


def path_of(path: Any, name: str) -> Path:
    """What can be a path, or a sentence."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise TypeError(
            f"{name} must be a path (a string or pathlib.Path), not {type(path).__name__}; give the name of a file, "
            "such as 'run.npz'"
        )
    try:
        os.fsencode(path)
        bad = "\0" in os.fspath(path)
    except UnicodeEncodeError:
        bad = True
    if bad:
        raise ValueError(
            f"{name} = {os.fspath(path)!r} holds characters that no file name can have; choose another name"
        )
    return Path(path)


def _mode(path: Path, test: Any = bool) -> int:
    """The mode of what is there, 0 if nothing is or ``test`` of the mode fails."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return 0
    return mode if test(mode) else 0


def _what(mode: int) -> str:
    return "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
