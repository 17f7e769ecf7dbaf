"""How much memory a training would take, and how much there is."""

from __future__ import annotations

from jko.numerics.room import available

VECTORS = 12  # arrays of the size of the state that a step holds at once, at least; features come in blocks


def needed(neurons: int, rows: int, inputs: int, states: int, outputs: int = 1) -> float:
    """Bytes that the steps take at least, with ``states`` of them kept."""
    return 8.0 * (rows + neurons * (VECTORS + states)) * (inputs + outputs + 1)


def refuse_too_large(neurons: int, rows: int, inputs: int, states: int, outputs: int = 1) -> None:
    """ValueError if the steps cannot fit."""
    need, have = needed(neurons, rows, inputs, states, outputs), available()
    if need > have:
        raise ValueError(
            f"--neurons {neurons} on {rows} training rows with {inputs} inputs takes at least {need / 2**30:,.1f} GiB "
            f"of memory, and there are {have / 2**30:,.1f} GiB; take fewer neurons"
        )
