"""How a step or a flow ended: an enum whose values are sentences with a remedy."""

from enum import Enum


class Status(Enum):
    """How a step or a flow ended.

    A step that is one of the scheme's is CONVERGED or STALLED.  A flow that has made all its steps is FINISHED, which
    says nothing of a minimum; AT_REST, STOPPED and INTERRUPTED say who ended it before; all else is a step's failure
    or an error.

    Examples
    --------
    >>> import jko
    >>> result = jko.step(jko.SquaredNorm(), jko.Particles([[1.0]]), tau=0.1)
    >>> result.status is jko.Status.CONVERGED, result.status.ok
    (True, True)
    """

    CONVERGED = "the residual is below its tolerance"
    STALLED = (
        "the objective could not be lowered further although the residual is above its tolerance: rounding, or a kink "
        "(ReLU); certificate() bounds the distance to the minimum"
    )
    FINISHED = (
        "the end time or the number of steps was reached; how far the state is from a minimum is another question: "
        "jko.diagnostics.speed and certificate() answer it"
    )
    AT_REST = (
        "the flow moves no more: its speed fell below the speed that jko.SteadyState was given"
    )
    STOPPED = "an observer ended the flow"
    INTERRUPTED = "interrupted, from the keyboard or with its process; what was computed so far is in the trajectory"
    ERROR = "an error that is no step's ended the flow; what was computed before it is in the trajectory"
    CLOCK_STANDS = (
        "tau is below the rounding of the time reached, so that t no longer grows; raise tau, or start from .final, "
        "whose time is 0 again"
    )
    UNBOUNDED = (
        "the objective falls without end along a move, so the step has no minimum; lower tau, or add a term that "
        "confines the measure"
    )
    COLLAPSED = (
        "an attraction has gathered mass in a heap narrower than a cell, where the grid no longer says what the "
        "equation does; take a finer grid or more diffusion, or end the flow before"
    )
    MAX_ITERATIONS = (
        "the iterations ran out before the tolerance; raise max_iterations or tol, or lower tau"
    )
    NOT_FINITE = "the energy or its gradient is not finite; lower tau, or check the data, features and potential"
    ENERGY_ROSE = "the energy rose, which a minimising step cannot do; the energy's gradient may not match its value"
    COUPLING_NOT_OPTIMAL = (
        "the coupling could not be certified nor improved; lower tau, or use jko.Plans()"
    )
    NOT_A_GRAPH = (
        "two atoms met at one theta with different H, so the step is no function of theta; continue with "
        "jko.Particles (state.lift()), or with its .project()"
    )
    LOCKED = (
        "the support is fixed and the step is shorter than half its spacing: no mass can move, or putting it back on "
        "the grid undoes the step; raise tau, refine the support, or use jko.Dynamic() on a grid or moving particles"
    )
    MASS_LOST = "the mass needs a larger correction than the solver's tolerance; lower tau, or raise max_iterations"

    @property
    def ok(self) -> bool:
        """Whether a step with this status is a step of the scheme; whether a flow got to where it was sent."""
        return self in (Status.CONVERGED, Status.STALLED, Status.FINISHED, Status.AT_REST)
