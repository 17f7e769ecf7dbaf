"""The loop over steps: :mod:`.run`, by a :mod:`.clock`."""

from jko.flows.run import Observer, flow

__all__ = ["Observer", "flow"]
