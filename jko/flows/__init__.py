"""The loop over steps, :mod:`.run`.

Its steps come by a :mod:`.clock`, or are :mod:`.controlled` by a rule: :mod:`.adaptive`, :mod:`.greedy`.
"""

from jko.flows.adaptive import Adaptive
from jko.flows.greedy import Greedy
from jko.flows.run import Observer, flow

__all__ = ["Adaptive", "Greedy", "Observer", "flow"]
