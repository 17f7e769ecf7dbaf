"""Archives: one ``.npz`` with everything, the facts as JSON in ``__facts__``, among them a digest of all the rest.

Its members are plain: not compressed, not encrypted, each the header that numpy writes and exactly the bytes that it
announces.  So nothing can be larger in memory than it is on the disk.
"""

from __future__ import annotations

import json
import math
import re
import zipfile
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from jko.storage import places
from jko.storage.states import Arrays, Facts

FORMAT = 2
FACTS = "__facts__"
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(<f[248]|<[iu][248]|\|[iu]1|\|b1|<U\d{1,9})', "
    rb"'fortran_order': (False|True), 'shape': \(((?:\d{1,18}, ?){0,8}\d{0,18})\), \} *\n",
    re.DOTALL,
)
LONGEST = 10 + 65535  # bytes of a header


def write(path: Path, arrays: Arrays, facts: dict[str, Any]) -> Path:
    """Write whole or not at all; ``path`` is one of :func:`places.to_write`."""
    for name, values in arrays.items():
        if values.dtype.kind not in "fiubU":
            raise TypeError(f"{name} has dtype {values.dtype}, which a saved run cannot hold")
    facts = {"format": FORMAT} | facts
    text = json.dumps(facts | {"digest": digest(arrays, json.loads(json.dumps(facts)))})
    with places.replacing(path) as file:
        np.savez(file, **{FACTS: np.array(text)}, **arrays)  # type: ignore[arg-type]
    return path


def read(path: Path) -> tuple[Arrays, Facts]:
    """Arrays and facts of a file written by :func:`write`; ``path`` is one of :func:`places.to_read`."""
    try:
        with open(path, "rb") as file:
            arrays = _members(file)
        facts = _facts(arrays.pop(FACTS, None))
    except Exception as error:  # bytes that are no zip raise ten kinds of them in zipfile
        raise places.refusal(path, str(error) or type(error).__name__) from None
    found, known = facts.pop("digest", None), facts.get("format")
    if type(known) is not int or known not in (1, FORMAT):
        raise places.refusal(
            path,
            f"it has format {known!r}, and this version of jko reads the formats 1 and {FORMAT}",
        )
    wanted = digest(arrays, facts) if known == FORMAT else None
    if found != wanted:
        raise places.refusal(path, "its contents do not match its digest")
    return arrays, facts


def digest(arrays: Arrays, facts: Facts) -> str:
    """A digest of facts, names, dtypes, shapes and numbers."""
    total = blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=32)
    for name in sorted(arrays):
        values = arrays[name]
        total.update(f"\0{name}\0{values.dtype.str}{values.shape}".encode("utf-8", "replace"))
        total.update(values.tobytes())
    return total.hexdigest()


def _members(file: BinaryIO) -> Arrays:
    """Every array of the zip, by its name without ``.npy``."""
    arrays = {}
    room = file.seek(0, 2)
    with zipfile.ZipFile(file) as members:
        for info in members.infolist():
            room -= info.file_size
            name = info.filename.removesuffix(".npy")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or room < 0:
                raise ValueError(
                    f"its member {name!r} is compressed, encrypted or larger than the file"
                )
            if name in arrays or name == info.filename:
                raise ValueError(f"its member {name!r} is there twice, or is no array")
            arrays[name] = _array(name, members.read(info))
    return arrays


def _array(name: str, data: bytes) -> np.ndarray:
    """The array of a ``.npy`` file, of a plain kind and of exactly the size that its header announces."""
    header = HEADER.match(data, 0, LONGEST)
    if header is None:
        raise ValueError(f"its member {name!r} is no array of plain numbers or words")
    dtype = np.dtype(header[1].decode())
    shape = tuple(int(n) for n in re.findall(rb"\d+", header[3]))
    start = header.end()
    if (
        start != 10 + int.from_bytes(data[8:10], "little")
        or len(data) - start != math.prod(shape) * dtype.itemsize
    ):
        raise ValueError(f"its member {name!r} announces another size than it has")
    values = np.frombuffer(bytearray(memoryview(data)[start:]), dtype)
    return values.reshape(shape, order="F" if header[2] == b"True" else "C")


def _facts(text: np.ndarray | None) -> Facts:
    if text is None or text.dtype.kind != "U" or text.shape:
        raise ValueError("it has no facts")
    facts = json.loads(str(text))
    if not isinstance(facts, dict):
        raise ValueError("its facts are no JSON object")
    return facts
