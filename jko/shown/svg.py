"""Small pictures without axes, as SVG that stands in a page: a curve, dots, an image."""

from __future__ import annotations

import base64
import struct
import zlib
from html import escape
from typing import Any

import numpy as np

INK = "#3b8ec2"  # reads on white and on black
WIDTH, HEIGHT, EDGE = 180, 90, 5
MOST = 400  # dots, points of a curve, cells along a side


def curve(x: Any, y: Any, label: str, log: bool = False) -> str:
    """``y`` over ``x``, both (K,); on logarithmic axes without what is not positive.  Empty below two points."""
    x, y = np.asarray(x, dtype=float).ravel(), np.asarray(y, dtype=float).ravel()
    seen = np.isfinite(x) & np.isfinite(y) & ((x > 0) & (y > 0) | (not log))
    if seen.sum() < 2:
        return ""
    x, y = (np.log(v[seen]) if log else v[seen] for v in (x, y))
    every = -(-len(x) // MOST)
    pixels = _pixels(x, y)[::every]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in pixels)
    line = f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.8"/>'
    a, b = pixels[-1]
    return _svg(f'{line}<circle cx="{a:.1f}" cy="{b:.1f}" r="2.6" fill="{INK}"/>', label)


def dots(x: Any, y: Any, label: str) -> str:
    """Points at ``x``, ``y``, both (N,)."""
    x, y = np.asarray(x, dtype=float).ravel(), np.asarray(y, dtype=float).ravel()
    seen = np.isfinite(x) & np.isfinite(y)
    if not seen.any():
        return ""
    every = -(-int(seen.sum()) // MOST)
    spots = "".join(
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2"/>' for a, b in _pixels(x[seen], y[seen])[::every]
    )
    return _svg(f'<g fill="{INK}" fill-opacity=".75">{spots}</g>', label)


def image(values: Any, label: str, ratio: float = 1.0) -> str:
    """Values (nx, ny), not negative, x to the right and y upwards: the more, the stronger; ``ratio`` of the sides."""
    values = np.asarray(values, dtype=float)
    values = values[tuple(slice(None, None, -(-n // MOST)) for n in values.shape)]
    top = float(values.max())
    if not 0 < top < np.inf:
        return ""
    strength = (255 * (values / top).clip(0, 1)).astype(np.uint8).T[::-1]
    ink = np.array([int(INK[k : k + 2], 16) for k in (1, 3, 5)], dtype=np.uint8)
    pixels = np.concatenate(
        [np.broadcast_to(ink, (*strength.shape, 3)), strength[:, :, None]], axis=2
    )
    data = base64.b64encode(_png(pixels)).decode()
    height = min(1.3 * HEIGHT, WIDTH / ratio)
    return (
        f'<img alt="{escape(label)}" title="{escape(label)}" width="{max(6, height * ratio):.0f}" '
        f'height="{max(6, height):.0f}" src="data:image/png;base64,{data}" '
        'style="image-rendering:pixelated;border:1px solid #8886;margin:0"/>'
    )


def _pixels(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where the points lie in the picture, (K, 2)."""
    ends = ((x, EDGE, WIDTH - EDGE), (y, HEIGHT - EDGE, EDGE))
    return np.stack([_between(values, a, b) for values, a, b in ends], axis=1)


def _between(values: np.ndarray, a: float, b: float) -> np.ndarray:
    """From the least to the largest, at a to b; in the middle if they are the same."""
    low, high = values.min(), values.max()
    share = (values - low) / (high - low) if high > low else np.full(len(values), 0.5)
    return a + (b - a) * share


def _svg(content: str, label: str) -> str:
    label = escape(label)
    return (
        f'<svg role="img" aria-label="{label}" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" style="border:1px solid #8886"><title>{label}</title>{content}</svg>'
    )


def _png(pixels: np.ndarray) -> bytes:
    """Colours and opacity, (rows, columns, 4) bytes, as a PNG file."""
    rows, columns, _ = pixels.shape
    lines = np.concatenate([np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(lines.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")
