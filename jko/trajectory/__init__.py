"""What a flow leaves behind: times, states, and columns of figures. It knows no solver."""

from jko.trajectory.curve import Trajectory

__all__ = ["Trajectory"]
