"""The text of a file: of bounded size and in UTF-8; other encodings are named with their remedy, never guessed."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

LARGEST = 256 * 2**20  # bytes; as lists of cells they take some ten times as much
MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark begins alike
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
FORMATS = {
    b"PK\x03\x04": "a zip archive (as .xlsx and .ods are)",
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ": "compressed by xz",
    b"PAR1": "in the format Parquet",
    b"\x89HDF": "in the format HDF5",
    b"\xd0\xcf\x11\xe0": "an old office document (as .xls is)",
}


def read_text(path: str | Path) -> str:
    """What the file says, without a byte order mark.

    Raises
    ------
    ValueError
        No such file, a folder, a pipe or a device, a file above 256 MiB, other formats and encodings: each with its
        remedy.
    """
    raw = _bytes(path)
    said = f"--csv {str(path)!r} is"
    for start, what in FORMATS.items():
        if raw.startswith(start):
            raise ValueError(f"{said} {what}, no text table in UTF-8; unpack or export it as CSV")
    marked = next((name for mark, name in MARKS.items() if raw.startswith(mark)), _unmarked(raw))
    if marked:
        raise ValueError(
            f"{said} no text table in UTF-8 but in {marked}; convert it by "
            f"iconv -f {marked} -t UTF-8 OLD.csv > NEW.csv, or export it as CSV in UTF-8"
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{said} no text table in UTF-8 (byte {raw[error.start]:#04x} in line {line}); if it is in Latin-1 or "
            "Windows-1252, as older programs write: iconv -f WINDOWS-1252 -t UTF-8 OLD.csv > NEW.csv; "
            "otherwise export it as CSV in UTF-8 again"
        ) from None
    if "\0" in text:
        raise ValueError(
            f"{said} no text table in UTF-8: it holds zero bytes; export it as CSV again"
        )
    return text


def _unmarked(raw: bytes) -> str:
    """UTF-16 without a mark: every other byte of what is in ASCII is zero."""
    begins = raw[: 2 * (min(len(raw), 1000) // 2)]
    for order, zeros in (("LE", begins[1::2]), ("BE", begins[::2])):
        if zeros and zeros.count(0) > 0.9 * len(zeros):
            return f"UTF-16{order}"
    return ""


def _bytes(path: str | Path) -> bytes:
    """The whole of a regular file, if it is not too large; nothing else is opened, since it may never end."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be the path of a file, not {type(path).__name__} ({path!r})")
    try:
        found = os.stat(path)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise ValueError(
                f"--csv {str(path)!r} is no regular file (but a pipe, socket or device); "
                "save its contents in a file first"
            )
        if found.st_size > LARGEST:
            raise ValueError(
                f"--csv {str(path)!r} has more than {LARGEST // 2**20} MiB; a table is read into memory as a whole: "
                "take fewer rows or columns"
            )
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(
            f"--csv {str(path)!r} cannot be read: {error.strerror}; check the path"
        ) from None
    except ValueError as error:
        if "embedded null" not in str(error):  # what the system says to a path with a zero byte
            raise
        raise ValueError(f"--csv {str(path)!r} cannot be read: {error}; check the path") from None
