"""The processes that hold a state together: torch.distributed, and the one thing that is asked of it.

All of them run the same program.  What is summed up is gathered and added in one order, so that every process holds
the same numbers and takes the same decisions; none of these has to be sent.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from jko import checks

PATIENCE = 300.0  # seconds that one process waits for another, unless told otherwise

T = TypeVar("T")


class Stopped(RuntimeError):
    """Another process has failed, and says why: this one ends with it.

    Examples
    --------
    >>> from jko import distributed
    >>> issubclass(distributed.Stopped, Exception)
    True
    """


class ProcessLost(RuntimeError):
    """Another process has died, or did not answer: this one cannot go on without its atoms.

    Examples
    --------
    >>> from jko import distributed
    >>> issubclass(distributed.ProcessLost, Exception)
    True
    """


def start(timeout: float = PATIENCE, backend: str | None = None) -> None:
    """Join the processes that ``torchrun`` has started: gloo between CPUs, nccl between GPUs.

    Parameters
    ----------
    timeout
        Seconds that a process waits for the others, which may be saving a large state.  One that has died is noticed at
        once; this is for one that hangs.
    backend
        Of ``torch.distributed``; default nccl where there is a GPU, gloo elsewhere.

    Raises
    ------
    RuntimeError
        Outside of torchrun.

    Examples
    --------
    >>> from jko import distributed
    >>> if distributed.launched():  # by torchrun; else this is the only process
    ...     distributed.start()
    """
    checks.number("timeout", timeout, above=0)
    if dist.is_initialized():
        return
    if not launched():
        raise RuntimeError(
            "RANK and WORLD_SIZE are not set, so there are no processes to join: start the program by torchrun "
            "--nproc-per-node P program.py, or run it in one process without jko.distributed.start()"
        )
    if backend is None:
        backend = "nccl" if torch.cuda.is_available() else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
    atexit.register(_leave)


def _leave() -> None:
    """End the threads of torch.distributed before the interpreter ends, which would abort with them running."""
    if dist.is_initialized():
        dist.destroy_process_group()


def launched() -> bool:
    """Whether this process is one of torchrun's.

    Examples
    --------
    >>> from jko import distributed
    >>> distributed.launched()
    False
    """
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank() -> int:
    """The number of this process, 0 where there is no other.

    Examples
    --------
    >>> from jko import distributed
    >>> distributed.rank(), distributed.count()
    (0, 1)
    """
    return dist.get_rank() if dist.is_initialized() else 0


def count() -> int:
    """How many processes there are.

    Examples
    --------
    >>> from jko import distributed
    >>> distributed.count()
    1
    """
    return dist.get_world_size() if dist.is_initialized() else 1


def gather(part: Tensor) -> Tensor:
    """The tensors of all processes, of one shape, in their order: (P, ...).  The only message there is.

    Raises
    ------
    ProcessLost
        Where another has died, or did not answer in time.

    Examples
    --------
    >>> import torch
    >>> from jko import distributed
    >>> distributed.gather(torch.ones(2)).shape  # (processes, 2)
    torch.Size([1, 2])
    """
    if count() == 1:
        return part[None]
    whole = part.new_empty(count(), *part.shape)
    _reached(lambda: dist.all_gather(list(whole), part.contiguous()))
    return whole


def sent(tensor: Tensor, source: int) -> Tensor:
    """The tensor of the process ``source``, in the others in place of what is in theirs."""
    if count() > 1:
        _reached(lambda: dist.broadcast(tensor, source))
    return tensor


def told(thing: T, source: int = 0) -> T:
    """What the process ``source`` holds, for all: anything that can be pickled.

    Examples
    --------
    >>> from jko import distributed
    >>> distributed.told("process 0 says it to all")
    'process 0 says it to all'
    """
    if count() == 1:
        return thing
    things = [thing]
    _reached(lambda: dist.broadcast_object_list(things, source))
    return things[0]


def together(action: Callable[[], T]) -> T:
    """Do something that may fail in one process: then all of them do, and none goes on before all have done it.

    The first one that failed raises what it met, the others :class:`Stopped`.

    Examples
    --------
    >>> from jko import distributed
    >>> distributed.together(lambda: 1 + 1)
    2
    """
    error: Exception | None = None
    try:
        result = action()
    except Exception as mine:
        error = mine
    failed = gather(torch.tensor(error is not None, dtype=torch.uint8, device=local())).tolist()
    if any(failed):
        first = failed.index(1)
        if error is not None and first == rank():
            raise error
        raise Stopped(f"process {first} has stopped, and says why; process {rank()} with it")
    return result


def local() -> torch.device:
    """The device of this process, where messages are."""
    nccl = dist.is_initialized() and dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")


def _reached(send: Callable[[], object]) -> None:
    try:
        send()
    except RuntimeError as error:
        why = str(error).split("\n")[0].split(". ")[0]
        raise ProcessLost(
            f"process {rank()} of {count()} has lost another, which has died or does not answer ({why})"
        ) from None
