"""A scheme that costs almost nothing, for tests of what stands around the steps."""

import jko
from jko.metrics import NO_PROOF, natural_metric
from jko.steps import StepProblem, StepResult


class Shrink:
    """Atoms move towards the origin, by an amount that depends on the memory, which grows for some steps."""

    def advance(self, energy, state, *, tau, metric=None, solver=None, memory=None):
        memory = dict(memory or {})
        memory[f"pair{min(len(memory), 9)}"] = state.points.clone()
        past = sum(float(pair.sum()) for pair in memory.values())
        after = state.moved(state.points * 0.999 + 1e-6 * past / (1 + abs(past)))
        before, now = float(energy(state)), float(energy(after))
        cost = float((after.points - state.points).square().sum(-1).mean())
        return StepResult(
            state=after,
            energy=now,
            cost=cost,
            objective=now + cost / (2 * tau),
            slack=before - now - cost / (2 * tau),
            residual=0.0,
            iterations=len(memory),
            evaluations=1,
            status=jko.Status.CONVERGED,
            coupling=NO_PROOF,
            problem=StepProblem(energy, natural_metric(state), state, tau),
            memory=memory,
        )
