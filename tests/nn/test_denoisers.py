"""Denoisers: shapes, what may and may not influence them, and that they learn what is asked."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rllib_safemarl.errors import SafeMARLError
from rllib_safemarl.functional.diffusion_guidance import guided
from rllib_safemarl.functional.diffusion_samplers import Inpainting, Sampler, solver_steps
from rllib_safemarl.functional.diffusion_schedules import cosine_schedule
from rllib_safemarl.functional.diffusion_training import denoising_loss, drop_conditions, training_pair
from rllib_safemarl.nn.denoisers import make_denoiser

SMALL = {
    "transformer": {"width": 32, "layers": 2},
    "mlp": {"width": 64, "layers": 2},
    "unet": {"width": 16, "multipliers": (1, 2)},
}
NAMES = list(SMALL)
NAN = float("nan")


def _make(name: str, features: int = 5, length: int = 6, context: int = 0, **settings) -> nn.Module:
    """A small network whose weights are nowhere zero, so that every input can be seen to matter."""
    torch.manual_seed(0)
    network = make_denoiser(name, features, length, 2, context, **SMALL[name], **settings)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def _inputs(batch: int = 3, length: int = 6):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, length, 5, generator=generator)
    return x, torch.tensor([1, 7, 50][:batch]), torch.randn(batch, 2, generator=generator)


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_same_answer_twice(name):
    network, (x, steps, y) = _make(name), _inputs()
    out = network(x, steps, y)
    assert out.shape == x.shape and torch.equal(out, network(x, steps, y))
    # A sample's answer does not depend on who else is in the batch.
    torch.testing.assert_close(network(x[1:2], steps[1:2], y[1:2]), out[1:2])


@pytest.mark.parametrize("name", ["transformer", "unet"])
@pytest.mark.parametrize("length", [1, 5, 7, 24])
def test_windows_of_any_length(name, length):
    x, steps, y = _inputs(length=length)
    assert _make(name)(x, steps, y).shape == (3, length, 5)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_dropped_has_no_influence_and_the_rest_has(name):
    network, (x, steps, y) = _make(name), _inputs()
    dropped = torch.tensor([[True, False], [False, False], [True, True]])
    out = network(x, steps, y, dropped)
    torch.testing.assert_close(network(x, steps, torch.where(dropped, NAN, y), dropped), out)
    changed = network(x, steps, torch.where(dropped, y, y + 1.0), dropped)
    difference = (changed - out).abs().amax((1, 2))
    assert difference[0] > 1e-4 and difference[1] > 1e-4 and difference[2] == 0
    # Not given is not the same as 0, and no condition at all is all of it dropped.
    assert not torch.allclose(network(x, steps, 0 * y), network(x, steps))
    torch.testing.assert_close(network(x, steps, y, torch.ones_like(dropped)), network(x, steps))


@pytest.mark.parametrize("name", NAMES)
def test_step_context_and_every_moment_matter(name):
    network, (x, steps, y) = _make(name, context=3), _inputs()
    context = torch.randn(3, 3)
    out = network(x, steps, y, context=context)
    assert not torch.allclose(network(x, steps + 1, y, context=context), out)
    assert not torch.allclose(network(x, steps, y, context=context + 1.0), out)
    x = x.clone().requires_grad_()
    gradient = torch.autograd.grad(network(x, steps, y)[:, 0].sum(), x)[0]
    assert (gradient.abs().amax(-1) > 0).all(), "the first moment must see all others"


@pytest.mark.parametrize("name", NAMES)
def test_order_of_moments_matters(name):
    network, (x, steps, y) = _make(name), _inputs()
    assert not torch.allclose(network(x.flip(1), steps, y).flip(1), network(x, steps, y), atol=1e-3)


@pytest.mark.parametrize("name", ["transformer", "unet"])
def test_agents_attend_to_each_other_and_only_then(name):
    x = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    steps, y = torch.tensor([3, 9]), torch.randn(2, 2)
    joint = _make(name, agent_attention=True)
    out = joint(x, steps, y)
    assert out.shape == x.shape
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(joint(x[:, order], steps, y), out[:, order], rtol=1e-4, atol=1e-5)
    other = x.clone()
    other[:, 0] += 1.0
    assert not torch.allclose(joint(other, steps, y)[:, 1:], out[:, 1:])
    torch.testing.assert_close(joint(x[:1], steps[:1], y[:1]), out[:1], rtol=1e-4, atol=1e-5)
    apart = _make(name)
    torch.testing.assert_close(apart(other, steps, y)[:, 1:], apart(x, steps, y)[:, 1:])
    torch.testing.assert_close(apart(x, steps, y)[:, 1], apart(x[:, 1], steps, y), rtol=1e-4, atol=1e-5)


def test_context_may_tell_agents_apart():
    network = _make("transformer", context=4, agent_attention=True)
    x = torch.randn(2, 1, 6, 5).expand(2, 4, 6, 5)
    out = network(x, torch.tensor([1, 2]), torch.zeros(2, 2), context=torch.eye(4).expand(2, 4, 4))
    assert not torch.allclose(out[:, 0], out[:, 1])


def test_paper_scale_has_the_published_size():
    """58.7 million parameters with 24 features; made without memory."""
    with torch.device("meta"):
        network = make_denoiser("paper_scale", 24, 24, 2)
        ours = make_denoiser("transformer", 24, 24, 2)
    count = {n: sum(p.numel() for p in net.parameters()) for n, net in (("paper", network), ("ours", ours))}
    assert count["paper"] == pytest.approx(58.7e6, rel=0.02) and count["ours"] < 1e6


def test_bad_names_and_settings_are_named():
    with pytest.raises(SafeMARLError, match="Did you mean 'transformer'"):
        make_denoiser("tranformer", 5, 6, 2)
    with pytest.raises(SafeMARLError, match=r"no setting 'layer'.*Did you mean 'layers'"):
        make_denoiser("mlp", 5, 6, 2, layer=3)
    with pytest.raises(SafeMARLError, match="no setting 'agent_attention'"):
        make_denoiser("mlp", 5, 6, 2, agent_attention=True)


@pytest.mark.parametrize(
    ("name", "prediction", "count"), [("transformer", "v", 4), ("mlp", "epsilon", 20), ("unet", "x0", 3)]
)
def test_learns_to_plan_from_the_present_as_the_condition_says(name, prediction, count):
    """Straight lines from a given start, to the left or to the right: x_t = x_0 + s t / 3, s = ±1."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    length, schedule = 4, cosine_schedule(50)
    network = make_denoiser(name, 1, length, 1, **SMALL[name])
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 200)

    def windows(sign):
        begin = torch.rand(len(sign), 1, generator=generator) - 0.5
        return (begin + sign[:, None] * torch.arange(length) / 3).unsqueeze(-1)

    for _ in range(200):
        sign = torch.randint(0, 2, (64,), generator=generator) * 2.0 - 1.0
        data = windows(sign)
        present = Inpainting.of_present(data[:, :1], length)
        steps = torch.randint(1, 51, (64,), generator=generator)
        noise = torch.randn(data.shape, generator=generator)
        x, target = training_pair(data, noise, steps, schedule, prediction, present)
        dropped = drop_conditions((64, 1), 0.3, 0.0, generator)
        loss = denoising_loss(network(x, steps, sign[:, None], dropped), target, ~present.known)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        annealing.step()

    network.eval()
    sign = torch.tensor([1.0, -1.0]).repeat(50)
    data = windows(sign)
    sampler = Sampler(solver_steps(schedule, "dpm_solver_pp", count), prediction, clip=2.0)
    with torch.no_grad():
        plans = sampler(
            guided(network, sign[:, None]),
            torch.randn(data.shape, generator=generator),
            Inpainting.of_present(data[:, :1], length),
        )
        free = sampler(
            guided(network, torch.full((100, 1), NAN)),
            torch.randn(data.shape, generator=generator),
            Inpainting.of_present(data[:, :1], length),
        )
    assert torch.equal(plans[:, 0], data[:, 0])
    # Going the wrong way half of the time would be an error of 0.5.
    assert float((plans - data).abs().mean()) < 0.2
    heading = torch.sign(plans[:, -1, 0] - plans[:, 0, 0])
    assert float((heading == sign).float().mean()) > 0.95
    right = (free[:, -1, 0] > free[:, 0, 0]).float().mean()
    assert 0.1 < float(right) < 0.9, "without a condition both directions come"
