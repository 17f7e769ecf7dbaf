"""Groups of tensors in one array: what was shown stays, the oldest fall away, a place in the array changes nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jko.numerics.stack import Stack

LIKE = torch.zeros(5, 3, dtype=torch.float64)


def group(k: int, width: int = 2) -> torch.Tensor:
    return torch.full((width, *LIKE.shape), float(k), dtype=torch.float64)


def put(stack: Stack, k: int) -> None:
    stack.open().copy_(group(k, stack.width))
    stack.append()


@given(
    st.lists(st.sampled_from(["put", "drop", "show", "look", "again"]), max_size=60),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_it_is_a_list_of_groups_whose_views_never_change(calls, most, width):
    stack, held, count, views = Stack(LIKE, width, most), [], 0, []
    for call in calls:
        if call == "put":
            count += 1
            put(stack, count)
            held = [*held, count]
            if len(held) > most:
                stack.drop(1)
                held = held[1:]
        elif call == "drop" and held:
            stack.drop(1)
            held = held[1:]
        elif call == "show":
            views.append((stack.show(), list(held)))
        elif call == "look":
            fields = stack.with_one(LIKE - 1, opened=False)
            assert fields[:, 0, 0].tolist() == [k for k in held for _ in range(width)] + [-1]
        elif call == "again" and views:
            view, held = views[-1][0], list(views[-1][1])
            stack.take(view)
        assert len(stack) == len(held)
        assert stack.tensors[:, 0, 0].tolist() == [k for k in held for _ in range(width)]
        for view, kept in views:
            assert view[:, 0, 0, 0].tolist() == kept


def test_its_own_view_is_taken_up_without_a_copy_and_what_is_new_goes_behind():
    stack = Stack(LIKE, 2, 4)
    put(stack, 1)
    view = stack.show()
    stack.take(view)
    put(stack, 2)
    assert stack.tensors.untyped_storage().data_ptr() == view.untyped_storage().data_ptr()
    stack.take(view.clone())
    assert stack.tensors.untyped_storage().data_ptr() != view.untyped_storage().data_ptr()
    assert len(stack) == 1


def test_two_that_go_on_from_one_view_do_not_see_each_other():
    stack = Stack(LIKE, 2, 4)
    put(stack, 1)
    first = stack.show()
    put(stack, 2)
    second = stack.show()
    stack.take(first)
    put(stack, 3)
    assert stack.show()[:, 0, 0, 0].tolist() == [1, 3]
    assert second[:, 0, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_each_tensor_begins_at_a_line_of_memory(dtype):
    stack = Stack(LIKE.to(dtype), 2, 3)
    for k in range(3):
        put(stack, k)
    assert all(tensor.data_ptr() % 64 == stack.tensors.data_ptr() % 64 for tensor in stack.tensors)
