"""How much memory there is: the least of what the machine, the container and the process say."""

import pytest

from jko.numerics import room


@pytest.mark.parametrize(("text", "bound"), [("1000\n", 1000), ("max\n", None), (None, None)])
def test_a_container_may_have_less_than_the_machine(text, bound, tmp_path, monkeypatch):
    group = tmp_path / "memory.max"
    if text is not None:
        group.write_text(text)
    monkeypatch.setattr(room, "GROUP", tmp_path / "none")
    whole = room.available()
    assert whole > 2**28
    monkeypatch.setattr(room, "GROUP", group)
    assert room.available() == (whole if bound is None else bound)
