"""What the fuzz tests are made of: odd values, random instances, and what must hold of every answer.

``make test`` draws a few examples, always the same ones; ``make fuzz N=1000 SEED=7`` draws N for each test.
"""

import os


def examples(few: int) -> int:
    """How many examples a test draws: few, or what ``make fuzz`` asks for."""
    return int(os.environ.get("FUZZ", few))


def seed() -> int:
    """Where a test that draws by itself begins."""
    return int(os.environ.get("FUZZ_SEED", 0))
