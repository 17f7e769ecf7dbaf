"""Archives: one ``.npz`` with everything, the facts as JSON in ``__facts__``, among them a digest of all the rest.

Its members are plain: not compressed, not encrypted, each the header that numpy writes and exactly the bytes that it
announces.  So nothing can be larger in memory than it is on the disk.
"""

from __future__ import annotations

import json
import math
import zipfile
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from jko.storage import places
from jko.storage.states import Arrays, Facts, facts_in, refuse_dtype

FORMAT = 2
FACTS = "__facts__"


def write(path: Path, arrays: Arrays, facts: dict[str, Any]) -> Path:
    """Write whole or not at all; ``path`` is one of :func:`places.to_write`."""
    for name, values in arrays.items():
        refuse_dtype(name, values.dtype)
    facts = {"format": FORMAT} | facts
    text = json.dumps(facts | {"digest": digest(arrays, json.loads(json.dumps(facts)))})
    with places.replacing(path) as file:
        np.savez(file, **{FACTS: np.array(text)}, **arrays)  # type: ignore[arg-type]
    return path


def read(path: Path) -> tuple[Arrays, Facts]:
    """Arrays and facts of a file written by :func:`write`; ``path`` is one of :func:`places.to_read`.

    Raises
    ------
    ValueError
        Why it is no such file.
    """
    try:
        with open(path, "rb") as file:
            arrays = _members(file)
        facts = _facts(arrays.pop(FACTS, None))
    except Exception as error:  # bytes that are no zip raise ten kinds of them in zipfile
        raise ValueError(str(error) or type(error).__name__) from None
    found, known = facts.pop("digest", None), facts.get("format")
    if type(known) is not int or known not in (1, FORMAT):
        raise ValueError(
            f"it has format {known!r}, and this version of jko reads the formats 1 and {FORMAT}"
        )
    wanted = digest(arrays, facts) if known == FORMAT else None
    if found != wanted:
        raise ValueError("its contents do not match its digest")
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
    file = BytesIO(data)
    if npy.read_magic(file) != (1, 0):
        raise ValueError(f"its member {name!r} is no array as numpy writes them")
    shape, in_fortran, dtype = npy.read_array_header_1_0(file)
    refuse_dtype(f"its member {name!r}", dtype)
    numbers = bytearray(file.read())
    if len(numbers) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"its member {name!r} announces another size than it has")
    return np.frombuffer(numbers, dtype).reshape(shape, order="F" if in_fortran else "C")


def _facts(text: np.ndarray | None) -> Facts:
    if text is None or text.dtype.kind != "U" or text.shape:
        raise ValueError("it has no facts")
    return facts_in(str(text))
