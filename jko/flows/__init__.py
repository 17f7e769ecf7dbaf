"""The loop over steps: :mod:`.run`, by a :mod:`.clock`, or by a rule that is :mod:`.controlled`: :mod:`.adaptive`."""

from jko.flows.adaptive import Adaptive
from jko.flows.run import Observer, flow

__all__ = ["Adaptive", "Observer", "flow"]
