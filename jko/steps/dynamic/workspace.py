"""The arrays that a stepper works in, which a flow keeps: memory that is new costs as much as a Newton iteration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jko.steps.dynamic.layout import Layout


@dataclass(eq=False)
class Workspace:
    """Fields on one layout, flat with ghosts, in which 0 stands at the beginning; see the stepper for what they are."""

    layout: Layout

    def __post_init__(self) -> None:
        d, n, total = self.layout.dim, self.layout.size, self.layout.total
        links = self.layout.offsets.shape[1]
        self.rho0, self.V, self.rho, self.F, self.step, self.residual = np.zeros((6, n))
        self.M0, self.M, self.w = np.zeros((d, n)), np.zeros((d, n)), np.zeros((1 << d, n))
        self.g, self.K, self.coarse_w = (np.zeros((k, total)) for k in (d, d, 1))
        self.A, self.D, self.work = np.zeros((links, total)), np.zeros(total), np.zeros((3, n))
        self.single, self.R, self.short = (
            np.zeros(shape, np.float32) for shape in ((links, total), total, (4, total))
        )
        self.V.fill(np.inf)


@dataclass(eq=False)
class Workspaces:
    """Those of a flow.  A step lends what it needs, and from the next step on it is free again."""

    free: dict[Layout, list[Workspace]] = field(default_factory=dict)
    lent: list[Workspace] = field(default_factory=list)

    def next_step(self) -> Workspaces:
        """The same, where the steps before need nothing any more."""
        self.free = {}
        for space in self.lent:
            self.free.setdefault(space.layout, []).append(space)
        self.lent = []
        return self

    def lend(self, layout: Layout) -> Workspace:
        """One that nobody else has in this step."""
        spaces = self.free.get(layout)
        self.lent.append(spaces.pop() if spaces else Workspace(layout))
        return self.lent[-1]
