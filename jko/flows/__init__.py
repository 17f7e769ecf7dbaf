"""The loop over steps, :mod:`.run`: by a :mod:`.clock`, or :mod:`.controlled` by a rule, :mod:`.adaptive`, :mod:`.greedy`."""

from jko.flows.adaptive import Adaptive
from jko.flows.greedy import Greedy
from jko.flows.run import Observer, flow

__all__ = ["Adaptive", "Greedy", "Observer", "flow"]
