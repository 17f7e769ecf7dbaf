"""The command line: ``python -m jko train | predict | validate | distance | demo | doctor``.

Exit codes: 0 done; 1 the computation failed; 2 bad input, said in one sentence; 130 interrupted from the keyboard.
A command is the function ``run`` of the module of its name, and whatever it needs is imported when it runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from jko.cli.options import parser
from jko.cli.refusal import Refusal
from jko.cli.terminal import say


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    whole = parser()
    arguments = whole.parse_args(argv)
    command: str | None = arguments.command
    if command is None:
        whole.print_help()
        return 0
    try:
        code: int = import_module(f"jko.cli.{command}").run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except Refusal as refusal:
        say(f"jko {command}: {refusal}", error=True)
        return 2
    except KeyboardInterrupt:
        say(f"jko {command}: interrupted", error=True)
        return 130
    except BrokenPipeError:  # the reader has had enough, as in ... | head
        _silence()
        return 1
    except OSError as error:
        _silence()
        say(f"jko {command}: what is printed cannot be written: {error}", error=True)
        return 1
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
            raise
        say(f"jko {command}: memory ran out ({error}); take less data or fewer neurons", error=True)
        return 1


def _silence() -> None:
    """Nothing more goes to standard output, not even what waits in its buffer."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # it has no file
        return
