"""Scratch memory is lent, comes back and is lent again; nobody sees another's."""

import threading

import pytest
import torch

from jko.numerics import scratch as module
from jko.numerics.scratch import scratch

LIKE = torch.zeros(1, dtype=torch.float64)


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(module._shelf, "free", [])


def test_memory_that_came_back_is_lent_again():
    with scratch(LIKE, 5, 7) as one:
        assert one.shape == (5, 7)
        assert one.dtype == torch.float64
        where = one.data_ptr()
    with scratch(LIKE, 3, 11) as two:  # 33 and 35 numbers: the same power of two
        assert two.data_ptr() == where


def test_what_is_lent_twice_at_once_is_not_the_same():
    with scratch(LIKE, 4) as one, scratch(LIKE, 4) as two, scratch(LIKE.float(), 4) as three:
        one.fill_(1), two.fill_(2), three.fill_(3)
        assert (one.tolist(), two.tolist(), three.tolist()) == ([1.0] * 4, [2.0] * 4, [3.0] * 4)
        assert three.dtype == torch.float32


def test_it_comes_back_after_an_error_too():
    where = []

    def fails():
        with scratch(LIKE, 4) as one:
            where.append(one.data_ptr())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    with scratch(LIKE, 4) as two:
        assert where == [two.data_ptr()]


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (17,), (2, 3, 5)])
def test_any_shape_begins_at_a_multiple_of_64_bytes(shape):
    with scratch(LIKE, *shape) as room:
        assert room.shape == shape
        assert room.is_contiguous()
        assert room.data_ptr() % 64 == 0


def test_only_so_much_is_kept_the_last_used_first(monkeypatch):
    monkeypatch.setattr(module, "KEPT", 3 * 8 * 64)
    for n in (64, 32, 16, 128, 1024):
        with scratch(LIKE, n):
            pass
    assert [len(flat) for flat in module._shelf.free] == [32, 16, 128]


def test_each_thread_has_its_own():
    with scratch(LIKE, 8) as one:
        mine = one.data_ptr()
    theirs = []

    def other():
        with scratch(LIKE, 8) as room:
            theirs.append((room.data_ptr(), len(module._shelf.free)))

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert theirs[0][0] != mine
    assert theirs[0][1] == 0


def test_memory_of_inference_mode_is_good_outside_of_it():
    with torch.inference_mode(), scratch(LIKE, 8) as room:
        assert not room.is_inference()
    with scratch(LIKE, 8) as room:
        room.add_(1)
