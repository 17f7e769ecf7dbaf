"""``jko.optim.JKO``: closed forms, the flow of the same network, and what a training loop of torch expects."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import jko
from jko.optim import JKO

EXACT = jko.LBFGS(tol=1e-13)
DOUBLE = torch.float64


def parameter(*numbers: float, dtype: torch.dtype = DOUBLE) -> nn.Parameter:
    return nn.Parameter(torch.tensor(numbers, dtype=dtype))


def of(loss):
    """The closure of a loss."""

    def closure():
        value = loss()
        value.backward()
        return value

    return closure


class Mean(nn.Module):
    """A network that is the mean of its neurons, and the risk of the same."""

    def __init__(self, N: int = 30, n: int = 2, M: int = 60, dtype: torch.dtype = DOUBLE) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.x = torch.randn(M, n, generator=g, dtype=dtype)
        self.y = (self.x[:, 0] * self.x[:, 1]).sin()
        self.points = torch.randn(N, n + 2, generator=g, dtype=dtype)
        self.w, self.theta, self.b = (
            nn.Parameter(t.clone())
            for t in (self.points[:, 0], self.points[:, 1:-1], self.points[:, -1])
        )

    def loss(self, lam: float = 1e-3) -> torch.Tensor:
        h = torch.tanh(self.theta @ self.x.T + self.b[:, None])
        f = (self.w[:, None] * h).mean(0)
        norm = sum(p.square().sum() for p in self.parameters()) / len(self.w)
        return 0.5 * (f - self.y).square().mean() + 0.5 * lam * norm

    def energy(self, lam: float = 1e-3) -> jko.Energy:
        data = jko.Data(self.x, self.y)
        return jko.Risk(data, activation=jko.Ridge(torch.tanh)) + lam * jko.SquaredNorm()

    @property
    def neurons(self) -> torch.Tensor:
        return torch.cat([self.w[:, None], self.theta, self.b[:, None]], dim=1).detach()


@pytest.mark.parametrize("lr", [0.1, 3.0, 1e4])
def test_a_step_on_a_quadratic_is_the_closed_form(lr):
    A = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=DOUBLE)
    p = parameter(1.0, -2.0)
    wanted = torch.linalg.solve(torch.eye(2, dtype=DOUBLE) + lr * A, p.detach().clone())
    optimizer = JKO([p], lr=lr, solver=EXACT)
    before = optimizer.step(of(lambda: 0.5 * p @ A @ p))
    assert float(before) == 2.0
    assert torch.allclose(p, wanted, rtol=0, atol=1e-10)
    last = optimizer.last
    assert last.before == 2.0
    assert last.loss == pytest.approx(float(0.5 * wanted @ A @ wanted), abs=1e-12)
    moved = float((wanted - torch.tensor([1.0, -2.0])).square().sum())
    assert last.cost == pytest.approx(moved, abs=1e-9)
    assert last.slack == pytest.approx(last.before - last.loss - moved / (2 * lr), abs=1e-9)
    assert last.converged


def test_each_group_has_its_own_tau_and_neurons_multiply_it():
    p, q, r = parameter(1.0, 2.0), parameter(3.0), parameter(5.0)
    groups = [
        {"params": [p], "lr": 1.0},
        {"params": [q], "lr": 2.0, "neurons": 4},
        {"params": [r], "lr": 0.0},
    ]
    optimizer = JKO(groups, solver=EXACT)
    for k in (1, 2):
        optimizer.step(of(lambda: 0.5 * sum(z.square().sum() for z in (p, q, r))))
        assert p.tolist() == pytest.approx([2.0**-k, 2.0 ** (1 - k)], abs=1e-12)
        assert q.item() == pytest.approx(3 / 9**k, abs=1e-12)
        assert r.item() == 5.0


def test_steps_of_neurons_are_those_of_the_flow():
    network = Mean()
    start, solver = jko.Particles(network.points), jko.LBFGS.training()
    run = jko.flow(network.energy(), start, tau=20.0, steps=8, solver=solver)
    optimizer, losses = JKO(network.parameters(), lr=20.0, neurons=30), []
    for _ in range(8):
        optimizer.step(of(network.loss))
        losses.append(optimizer.last.loss)
    assert losses == pytest.approx(run.energies[1:].tolist(), abs=2e-15)
    assert torch.allclose(network.neurons, run.final.points, rtol=0, atol=1e-11)


def test_a_group_of_its_own_is_the_scaled_metric_of_the_flow():
    network = Mean()
    metric = jko.metrics.ScaledWasserstein.neurons(2, w=0.25)
    run = jko.flow(
        network.energy(), jko.Particles(network.points), tau=20.0, steps=3, metric=metric
    )
    groups = [
        {"params": [network.theta, network.b], "lr": 20.0},
        {"params": [network.w], "lr": 80.0},
    ]
    optimizer = JKO(groups, neurons=30, solver=jko.LBFGS())
    for energy in run.energies[1:]:
        optimizer.step(of(network.loss))
        assert optimizer.last.loss == pytest.approx(float(energy), rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loss_never_rises_and_the_parameters_have_the_slope_of_the_end(dtype):
    network, losses = Mean(dtype=dtype), []
    optimizer = JKO(network.parameters())
    for _ in range(15):
        assert float(optimizer.step(of(network.loss))) == optimizer.last.before
        losses.append(optimizer.last.loss)
        assert optimizer.last.slack >= -512 * torch.finfo(dtype).eps * losses[0]
        left = [p.grad.clone() for p in network.parameters()]
        network.zero_grad()
        value = of(network.loss)()
        assert float(value.detach()) == optimizer.last.loss
        assert all(torch.equal(g, p.grad) for g, p in zip(left, network.parameters(), strict=True))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.4 * losses[0]
    assert network.w.dtype is dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_resumes_from_a_file_to_the_bit(dtype):
    def groups(network):
        return [{"params": [network.w], "lr": 300.0}, {"params": [network.theta, network.b]}]

    network = Mean(dtype=dtype)
    optimizer = JKO(groups(network), lr=100.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda k: 0.9**k, lambda k: 1.0])
    for _ in range(5):
        optimizer.step(of(network.loss))
        scheduler.step()
    file = io.BytesIO()
    torch.save([network.state_dict(), optimizer.state_dict(), scheduler.state_dict()], file)
    file.seek(0)
    states = torch.load(file, weights_only=True)
    other = Mean(dtype=dtype)
    again = JKO(groups(other), lr=100.0)
    resumed = torch.optim.lr_scheduler.LambdaLR(again, [lambda k: 0.9**k, lambda k: 1.0])
    for thing, state in zip((other, again, resumed), states, strict=True):
        thing.load_state_dict(state)
    assert again.last == optimizer.last
    for _ in range(5):
        for one, model, clock in ((optimizer, network, scheduler), (again, other, resumed)):
            one.step(of(model.loss))
            clock.step()
        assert torch.equal(network.neurons, other.neurons)
        assert again.last == optimizer.last


def test_a_copy_and_a_pickle_go_on_alike():
    network = Mean()
    optimizer = JKO(network.parameters(), solver=jko.LBFGS(fraction=1.0))
    optimizer.step(of(network.loss))
    for copied in (copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))):
        other, again = copied((network, optimizer))
        again.step(of(other.loss))
        assert again.solver == optimizer.solver
        assert again.last.loss < optimizer.last.loss


def test_a_scheduler_of_one_group_keeps_the_curvature_in_the_new_metric():
    p, q = parameter(1.0, -1.0), parameter(2.0)
    optimizer = JKO([{"params": [p]}, {"params": [q]}], lr=1.0, solver=EXACT)
    closure = of(lambda: (p**4).sum() + 2 * q.square().sum() + (p.sum() - q).square().sum())
    optimizer.step(closure)
    optimizer.param_groups[1]["lr"] = 50.0
    memory, state = optimizer._remembered(optim_atom(optimizer)), optimizer._state["memory"]
    moves, slopes = state["pairs"][:, 0, 0], state["pairs"][:, 1, 0]
    assert torch.equal(memory["pairs"][:, 0, 0], moves)
    assert torch.allclose(memory["pairs"][:, 1, 0, 2], slopes[:, 2] * 50.0)
    assert torch.equal(memory["pairs"][:, 1, 0, :2], slopes[:, :2])
    fresh = JKO([{"params": [p]}, {"params": [q], "lr": 50.0}], lr=1.0, solver=EXACT)
    where = [z.detach().clone() for z in (p, q)]
    optimizer.step(closure)
    ends = [z.detach().clone() for z in (p, q)]
    with torch.no_grad():
        for z, before in zip((p, q), where, strict=True):
            z.copy_(before)
    fresh.step(closure)
    assert all(
        torch.allclose(z, end, rtol=0, atol=1e-12) for z, end in zip((p, q), ends, strict=True)
    )


def optim_atom(optimizer):
    from jko.optim.atom import Atom

    return Atom.of(optimizer.param_groups)


def test_parameters_without_a_gradient_rest():
    used, unused, frozen = parameter(1.0), parameter(2.0), parameter(3.0)
    frozen.requires_grad_(False)
    optimizer = JKO([used, unused, frozen], lr=1.0, solver=EXACT)
    for _ in range(2):
        optimizer.step(of(lambda: 0.5 * (used * frozen).square().sum()))
    assert used.item() == pytest.approx(0.01, abs=1e-12)
    assert (unused.item(), frozen.item(), unused.grad) == (2.0, 3.0, None)
    frozen.requires_grad_(True)  # and one that joins later moves
    optimizer.step(of(lambda: 0.5 * (frozen - 1).square().sum()))
    assert frozen.item() == pytest.approx(2.0, abs=1e-12)


def test_nothing_to_move_is_only_evaluated():
    p = parameter(1.0)
    optimizer = JKO([p], lr=0.0)
    assert float(optimizer.step(of(lambda: p.square().sum()))) == 1.0
    assert p.item() == 1.0
    assert optimizer.state_dict()["state"] == {}


def test_sparse_slopes_and_tables_of_words_are_taken():
    table = nn.Embedding(4, 2, sparse=True, dtype=DOUBLE)
    start = table.weight.detach().clone()
    JKO(table.parameters(), lr=1.0, solver=EXACT).step(
        of(lambda: 0.5 * table(torch.tensor([0, 2])).square().sum())
    )
    wanted = start * torch.tensor([[0.5], [1.0], [0.5], [1.0]])
    assert torch.allclose(table.weight, wanted, rtol=0, atol=1e-12)


def test_other_data_drop_the_curvature_of_the_old_and_each_step_falls_on_its_own():
    network = Mean()
    optimizer = JKO(network.parameters(), lr=10.0)
    x, y = network.x, network.y
    for k in range(6):
        network.x, network.y = x[k::6], y[k::6]
        optimizer.step(of(network.loss))
        assert optimizer.last.slack >= 0


def refused(error, sentence, closure, p, **options):
    optimizer = JKO([p], **options)
    where = p.detach().clone()
    with pytest.raises(error, match=sentence) as raised:
        optimizer.step(closure)
    assert torch.equal(p.detach(), where)
    return raised.value


def test_a_step_without_a_closure_says_what_one_is():
    refused(TypeError, r"calls loss.backward\(\) and returns the loss", None, parameter(1.0))


def test_a_closure_that_draws_is_refused_and_says_where_to_draw():
    p, g = parameter(1.0, 2.0), torch.Generator().manual_seed(0)
    drawn = of(lambda: (p * torch.rand(2, generator=g, dtype=DOUBLE)).square().sum())
    refused(ValueError, "draw the batch before the step, not in the closure", drawn, p)
    layer = nn.Sequential(nn.Linear(20, 20), nn.Dropout(0.5))
    x, optimizer = torch.ones(3, 20), JKO(layer.parameters())
    with pytest.raises(ValueError, match="dropout"):
        optimizer.step(of(lambda: layer(x).square().mean()))
    layer.eval()
    optimizer.step(of(lambda: layer(x).square().mean()))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_fails_and_moves_nothing(value):
    p = parameter(1.0)
    failed = refused(jko.StepFailed, "NOT_FINITE", of(lambda: (p * value).sum()), p)
    assert "tau is lr" in failed.__notes__[0]


def test_a_loss_without_a_minimum_fails():
    p = parameter(1.0)
    refused(jko.StepFailed, "UNBOUNDED", of(lambda: -p.square().sum()), p, lr=2.0)


def test_trials_that_are_not_finite_are_no_failure():
    p = parameter(1.0)
    optimizer = JKO([p], lr=1e3, solver=EXACT)
    optimizer.step(of(lambda: (-1e-3 * p.log() + p).sum()))
    assert 0 < p.item() < 1


def test_a_closure_that_raises_leaves_the_parameters():
    p, calls = parameter(1.0), []

    def closure():
        calls.append(p.item())
        if len(calls) == 3:
            raise KeyboardInterrupt
        loss = p.square().sum()
        loss.backward()
        return loss

    refused(KeyboardInterrupt, None, closure, p)
    assert calls[2] != 1.0


@pytest.mark.parametrize(
    ("closure", "sentence"),
    [
        (lambda p: (p.square().sum().backward(), None)[1], "must return the loss.*NoneType|None"),
        (lambda p: p.square(), "must return the loss"),
        (lambda p: p.square().sum(), "left no gradient"),
    ],
)
def test_a_closure_that_is_none_is_refused(closure, sentence):
    p = parameter(1.0, 2.0)
    refused((TypeError, ValueError), sentence, lambda: closure(p), p)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"lr": -1.0}, "lr = -1.0"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"neurons": 0}, "neurons = 0"),
        ({"neurons": 2.0}, "neurons must be a whole number"),
        ({"solver": jko.BlockNewton()}, "solver must be LBFGS, not BlockNewton"),
    ],
)
def test_odd_options_are_refused(options, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        JKO([parameter(1.0)], **options)


def test_parameters_of_several_kinds_are_refused():
    for p, q in [(DOUBLE, torch.float32), (torch.float16, torch.float16)]:
        with pytest.raises(TypeError, match=r"module.to\(device, dtype\)"):
            JKO([parameter(1.0, dtype=p), parameter(1.0, dtype=q)])


def test_schedulers_see_an_optimiser():
    p = parameter(8.0)
    optimizer = JKO([p], lr=3.0, solver=EXACT)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=1 / 3)
    for wanted in (2.0, 1.0):
        optimizer.step(of(lambda: 0.5 * p.square().sum()))
        scheduler.step()
        assert p.item() == pytest.approx(wanted, abs=1e-12)
