"""A door for training loops of torch: the JKO step as a :class:`torch.optim.Optimizer`."""

from jko.optim.ledger import LastStep
from jko.optim.optimizer import JKO

__all__ = ["JKO", "LastStep"]
