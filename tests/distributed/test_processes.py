"""States whose atoms lie in two processes: the bits of one, few messages, whole files, and no one left waiting."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import ranks
import torch

import jko
from jko import distributed
from jko.distributed import Sharded


def launched(count: int, *command: str) -> list[subprocess.Popen]:
    """The processes of a program, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = os.environ | {
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(jko.__file__).parents[1]),
    }
    return [
        subprocess.Popen(
            [sys.executable, *command],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes found, and how they ended."""
    folder = tmp_path_factory.mktemp("two")
    processes = launched(2, ranks.__file__, str(folder))
    try:
        died = processes[1].wait(300)
        since = time.monotonic()
        said = processes[0].communicate(timeout=60)[1]
        ended = time.monotonic() - since
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stderr.close()
    texts = [folder / f"{rank}.json" for rank in range(2)]
    assert all(text.exists() for text in texts), said
    found = [json.loads(text.read_text()) for text in texts]
    return {"found": found, "said": said, "died": died, "ended": ended, "folder": folder}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ranks.RUNS)
def test_one_and_two_processes_give_the_same_bits(two, name):
    here = ranks.digest(ranks.RUNS[name]())
    assert two["found"][0]["runs"][name] == here
    assert two["found"][1]["runs"][name] == here


def test_an_examined_step_is_proved(two):
    examined = two["found"][0]["runs"]["examined"]
    assert set(examined["proofs"]) == {"POTENTIAL"}
    assert set(examined["bounds"]) == {(0.0).hex()}


def test_atoms_that_were_mixed_up_change_processes(two):
    here = ranks.relabelled()
    assert here["optimal"]
    assert here["calls"] == 2
    assert two["found"][0]["relabelled"] == two["found"][1]["relabelled"] == here


def test_a_run_that_was_saved_goes_on_with_the_same_bits(two):
    here = ranks.digest(ranks.flow(ranks.whole(), 5))
    assert two["found"][0]["saved"] == dict.fromkeys(("short", "long", "by hand"), here)
    for name in ("short", "long"):
        run = distributed.load(two["folder"] / name)
        assert len(run.times) == 4
        assert ranks.digest(ranks.flow(run, 5)) == here


def test_no_file_of_an_earlier_save_is_left(two):
    names = [path.name.split(".")[-2] for path in two["folder"].glob("by hand.*.npz")]
    assert sorted(names) == ["0of2", "1of2"]


def test_what_needs_all_atoms_is_refused_in_a_sentence(two):
    refusals = two["found"][0]["refusals"]
    for name in ("pairs", "kernels", "curvature", "distance", "bound", "plans", "merging"):
        assert "needs all atoms" in refusals[name], name
    assert "5 shards cannot be shared equally by 2 processes" in refusals["shards"]


def test_where_one_process_fails_the_others_do_not_wait(two):
    (other, mine) = (found["refusals"]["one process"] for found in two["found"])
    assert mine == "no such thing"
    assert other == "process 1 has stopped, and says why; process 0 with it"


def test_four_messages_an_evaluation_and_three_a_step(two):
    first = 10  # to begin with
    for sent, steps, evaluations in two["found"][0]["messages"].values():
        assert sent <= 4 * evaluations + 3 * steps + first


def test_when_a_process_dies_the_others_say_so_and_end(two):
    assert two["died"] == -9
    assert two["ended"] < 30
    assert "process 0 of 2 has lost another" in two["said"]
    assert "killed.npz" in two["said"]


def test_one_process_goes_on_where_two_were_killed(two):
    run = distributed.load(two["folder"] / "killed")
    assert len(run.times) - 1 in (3, 4)
    assert ranks.digest(ranks.flow(run, 6)) == ranks.digest(ranks.flow(ranks.whole(), 6))


# -- in one process


def test_shards_are_whole_blocks_of_atoms():
    mu = ranks.whole(300, shards=4)
    assert mu.sizes == [64, 96, 64, 76]
    assert [len(block.points) for block in mu.blocks(70)] == [64, 70, 26, 64, 70, 6]


def test_too_few_atoms_are_refused():
    with pytest.raises(ValueError, match="too few for 8 shards of at least 32"):
        ranks.whole(200)
    with pytest.raises(ValueError, match="no whole shards"):
        Sharded(ranks.POINTS[:100], shards=4, total=2000, first=0)


def test_the_sums_are_those_of_particles():
    m = ranks.WEIGHTS / ranks.WEIGHTS.sum()
    mu, nu = ranks.whole(weights=m), jko.Particles(ranks.POINTS, m)
    x = ranks.POINTS
    assert torch.allclose(mu.integrate(x), nu.integrate(x), rtol=1e-13)
    assert float(mu.inner(x, x)) == pytest.approx(float(nu.inner(x, x)), rel=1e-13)
    fields = torch.stack([x, x.sin(), x.square()])
    assert torch.allclose(mu.products(fields, fields), nu.products(fields, fields), rtol=1e-13)
    assert float(mu.mass) == pytest.approx(1, rel=1e-13)
    assert mu.largest(x) == float(x.max())
    assert not mu.every(x > 0)
    assert not mu.has_equal_weights
    assert ranks.whole().has_equal_weights


@pytest.mark.parametrize("loss", [None, jko.Logistic()])
def test_several_outputs_of_shards_are_those_of_particles(loss):
    f = torch.nn.functional.one_hot((ranks.X[:, 0] > 0).long() + (ranks.X[:, 1] > 0), 3)
    risk = jko.Risk(jko.Data(ranks.X[:, :1], f), jko.Ridge(torch.tanh), loss=loss)
    for a, b in zip(
        risk.evaluate(ranks.whole()), risk.evaluate(jko.Particles(ranks.POINTS)), strict=True
    ):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-14)


def test_a_flow_of_shards_is_that_of_particles():
    a = ranks.flow(ranks.whole(), 3, solver=jko.LBFGS(tol=1e-9))
    b = ranks.flow(jko.Particles(ranks.POINTS), 3, solver=jko.LBFGS(tol=1e-9))
    assert a.energies == pytest.approx(b.energies, rel=1e-9)
    assert torch.allclose(a.final.points, b.final.points, atol=1e-6)


def test_what_many_processes_cannot_prove_is_no_step(monkeypatch):
    """Beyond what each may look at there is the step's own potential alone."""
    monkeypatch.setattr(distributed.certificates, "FEW", 0)
    mu = ranks.whole(300)
    far = mu.points.flip(0)
    found = jko.metrics.examined(mu, far.numpy(), mu.points.numpy(), np.zeros(300))
    assert not found.optimal
    assert found.plan is None
    exact = jko.distance(jko.Particles(far), mu).squared
    assert exact >= found.cost - found.bound


def test_a_certificate_is_that_of_particles():
    mu, nu = ranks.whole(300), jko.Particles(ranks.POINTS[:300])
    x, y, p = 0.9 * mu.points.numpy(), mu.points.numpy(), (mu.points.square().sum(-1) / 18).numpy()
    ours, theirs = (jko.metrics.examined(state, x, y, p) for state in (mu, nu))
    assert ours.optimal
    assert theirs.optimal
    assert ours.cost == pytest.approx(theirs.cost, rel=1e-13)


def test_a_gathered_run_is_one_of_particles(tmp_path):
    run = ranks.flow(ranks.whole(), 2)
    path = distributed.gathered(run).save(tmp_path / "run")
    back = jko.Trajectory.load(path)
    assert type(back.final) is jko.Particles
    assert torch.equal(back.final.points, run.final.points)


def test_a_run_of_one_process_is_no_run_of_several(tmp_path):
    path = ranks.flow(jko.Particles(ranks.POINTS[:50]), 1).save(tmp_path / "run")
    with pytest.raises(ValueError, match=r"jko\.Trajectory\.load reads it"):
        distributed.load(path)
