"""Atoms at walls: the limit projects their velocity on the tangent cone, (3.11), and JKO steps converge to it."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import jko
from jko import exact
from jko.limits.walls import tangent

F64 = torch.float64
BOX, BALL = jko.Box([-1.0, -1.0], [1.0, 1.0]), jko.Ball([0.0, 0.0], 1.0)


def in_box(points):
    return points.clamp(-1, 1)


def in_ball(points):
    return points / points.norm(dim=1, keepdim=True).clamp(min=1)


DOMAINS = {
    "box": BOX,
    "ball": BALL,
    "convex box": jko.spaces.Convex(in_box),
    "convex ball": jko.spaces.Convex(in_ball),
}


def pull(centre, strength=1.0):
    at = torch.tensor(centre, dtype=F64)
    return strength * jko.Potential(lambda z: 0.5 * ((z - at) ** 2).sum(-1))


def test_a_drift_stops_at_the_wall_as_its_closed_form():
    V, x = jko.Potential(lambda z: -z[:, 0]), np.array([0.2, 0.9, -3.0])
    start = jko.Particles(x[:, None], domain=jko.Box([-np.inf], [1.0]))
    run = jko.limits.wasserstein(V, start, t1=5.0, times=[0.05, 0.1, 0.8, 3.0])
    for t, state in zip(run.times, run.states, strict=True):
        found = state.points[:, 0].numpy()
        assert np.abs(found - exact.wall_step(x, tau=t)).max() < 1e-7
    assert run.status is jko.Status.AT_REST
    assert run.final.points.tolist() == [[1.0]] * 3


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_every_atom_ends_at_the_nearest_point_of_the_target(name):
    target = torch.tensor([[1.7, 0.4]], dtype=F64)
    generator = torch.Generator().manual_seed(0)
    start = jko.Particles.uniform(5, jko.Box([-0.6] * 2, [0.6] * 2), generator=generator)
    start = jko.Particles(start.points, domain=DOMAINS[name])
    run = jko.limits.wasserstein(pull([1.7, 0.4]), start, t1=40.0)
    rest = {"box": [1.0, 0.4], "ball": (target / target.norm())[0].tolist()}[name.split()[-1]]
    assert float((run.final.points - torch.tensor(rest, dtype=F64)).abs().max()) < 1e-6
    assert (np.diff(run.energies) < 1e-14).all()
    for state in run.states:
        DOMAINS[name].check("atoms", state.points)


def test_corners_hold_and_let_go():
    # the pull turns: into the corner (1, 1) at first, then along the wall, then away from it
    def V(z):  # x' = 1 - z_2^2 (y) ...: y falls when x is at the wall
        return -(z[:, 0] + z[:, 1])

    start = jko.Particles([[0.3, 0.8], [0.9, 0.9]], domain=BOX)
    final = jko.limits.wasserstein(jko.Potential(V), start, t1=3.0).final
    assert final.points.tolist() == [[1.0, 1.0]] * 2
    away = jko.Potential(
        lambda z: z[:, 0] - z[:, 1]
    )  # from the same corner: leaves x = 1, keeps y = 1
    final = jko.limits.wasserstein(away, jko.Particles(final.points, domain=BOX), t1=0.5).final
    assert np.abs(final.points.numpy() - [0.5, 1.0]).max() < 1e-9


def test_an_atom_leaves_a_wall_where_the_velocity_turns_inwards():
    # y' = 1 carries the atom along x = 1, held while -y > 0 pushes it out... and let go after y = 0
    V = jko.Potential(lambda z: z[:, 0] * z[:, 1] - 2 * z[:, 1])

    def free(t, s):
        return [-s[1], 2 - s[0]]

    box = jko.Box([-5.0, -5.0], [1.0, 5.0])
    run = jko.limits.wasserstein(V, jko.Particles([[1.0, -1.0]], domain=box), t1=2.0, times=[0.5])
    assert np.abs(run.states[1].points.numpy() - [[1.0, -0.5]]).max() < 1e-8
    after = solve_ivp(free, (1.0, 2.0), [1.0, 0.0], rtol=1e-11, atol=1e-12).y[:, -1]
    assert np.abs(run.final.points.numpy()[0] - after).max() < 1e-6


def test_an_atom_slides_along_a_sphere_as_a_pendulum():
    # on the circle the pull of -y is phi' = cos(phi): sin(phi) = tanh(t + c)
    V = jko.Potential(lambda z: -z[:, 1])
    for domain in (BALL, DOMAINS["convex ball"]):
        run = jko.limits.wasserstein(V, jko.Particles([[1.0, 0.0]], domain=domain), t1=2.0)
        assert float(run.final.points[0, 1]) == pytest.approx(np.tanh(2.0), abs=1e-6)


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_jko_steps_with_a_domain_converge_to_it_at_order_one(name):
    F = pull([1.5, 0.3]) + 0.3 * jko.Potential(lambda z: torch.sin(3 * z[:, 1]))
    F = F + 0.2 * jko.Interaction(lambda z: (-(z**2).sum(-1)).exp())
    generator = torch.Generator().manual_seed(1)
    points = 0.4 * torch.randn(4, 2, generator=generator, dtype=F64)
    start = jko.Particles(points, domain=DOMAINS[name])
    limit = jko.limits.wasserstein(F, start, t1=1.0).final.points
    errors = []
    for K in (10, 20, 40):
        final = jko.flow(F, start, tau=1.0 / K, steps=K).final.points
        errors.append(float((final - limit).abs().max()))
    assert 0.7 < np.log2(errors[1] / errors[2]) < 1.5
    assert errors[2] < 0.02


def test_pairs_slide_along_the_walls_of_theta_and_keep_their_charge_free():
    G = jko.Potential(lambda xi: -xi[:, 1] + 0.5 * (xi[:, 0] - 3) ** 2)
    walls = jko.Box([0.0, 0.0], [1.0, 1.0])
    start = jko.ChargedParticles([[0.2, 0.1], [0.9, 0.4]], [0.0, 1.0], domain=walls)
    final = jko.limits.chaos(G, start, t1=2.0).final
    assert final.theta.ravel().tolist() == pytest.approx([1.0, 0.1, 1.0, 0.4], abs=1e-8)
    H = 3 + np.exp(-2.0) * np.array([-3.0, -2.0])
    assert final.H.tolist() == pytest.approx(H, abs=1e-6)


def test_a_pair_whose_atoms_meet_on_a_wall_stops_with_what_it_has():
    G = jko.Potential(lambda xi: -xi[:, 1] + 0.5 * (xi[:, 0] - 3) ** 2)
    start = jko.ChargedParticles([[0.2], [0.9]], [0.0, 1.0], domain=jko.Box([0.0], [1.0]))
    with pytest.raises(jko.limits.LimitStopped, match=r"at one theta with different H") as caught:
        jko.limits.chaos(G, start, t1=2.0)
    run = caught.value.trajectory
    assert 0.1 < run.times[-1] < 0.8 + 1e-6
    assert isinstance(run.final, jko.ChargedParticles)
    final = jko.limits.wasserstein(G, start.lift(), t1=2.0).final  # as a measure it goes on
    assert final.points[:, 1].tolist() == [1.0, 1.0]
    generator = torch.Generator().manual_seed(0)
    data = jko.Data([[0.0]], [0.0])
    zero = jko.Risk(data, activation=lambda theta, x: 0 * theta[:, :1] + 0 * x.T)
    with pytest.raises(jko.limits.LimitStopped, match=r"at one theta") as caught:
        jko.limits.sgd(G + zero, start, t1=2.0, rate=0.1, batch=1, generator=generator)
    assert len(caught.value.trajectory.times) > 1


@pytest.mark.parametrize("domain", [jko.Box([-1.0] * 2, [1.0] * 2), BALL], ids=["box", "ball"])
def test_a_stiff_flow_meets_its_walls(domain):
    V = jko.Potential(lambda z: 0.5e5 * (z[:, 1] - 0.2 * torch.sin(z[:, 0])) ** 2 - z[:, 0])
    start = jko.Particles([[0.0, 0.5], [0.1, -0.3]], domain=domain)
    final = jko.limits.wasserstein(V, start, t1=3.0).final.points
    valley = 0.2 * torch.sin(final[:, 0])
    assert float((final[:, 1] - valley).abs().max()) < 1e-3
    domain.check("atoms", final)
    edge = final[:, 0] if isinstance(domain, jko.Box) else final.norm(dim=1)
    assert float((edge - 1).abs().max()) < 1e-6


@pytest.mark.parametrize("name", sorted(DOMAINS))
def test_the_tangent_part_is_the_one_sided_derivative_of_the_projection(name):
    generator = torch.Generator().manual_seed(2)
    points = DOMAINS[name].project(torch.randn(40, 2, generator=generator, dtype=F64) * 2)
    v = torch.randn(40, 2, generator=generator, dtype=F64)
    found = tangent(DOMAINS[name], points, v)
    for s, tolerance in ((1e-3, 2e-2), (1e-5, 2e-4)):
        derivative = (DOMAINS[name].project(points + s * v) - points) / s
        inside = (DOMAINS[name].project(points + s * v) == points + s * v).all(1)
        near = DOMAINS[name].project(points * (1 + 2 * s)) == points * (1 + 2 * s)
        clear = near.all(1) | ~inside
        assert float((derivative - found)[clear].abs().max()) < tolerance
