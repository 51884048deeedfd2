# ruff: noqa: E402
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.diffusion import (
    add_noise,
    draw,
    loss_weights,
    noise_of,
    signal_shares,
    velocity,
)

ALL_STEPS = torch.arange(1000)


def normal(*shape: int) -> "torch.Tensor":
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_the_schedule_is_stable_diffusions() -> None:
    shares = signal_shares()
    assert len(shares) == 1000
    assert shares[0].item() == pytest.approx(1 - 0.00085)
    assert shares[-1].item() == pytest.approx(0.0047, abs=1e-4)  # 0.00466 in every Stable Diffusion 1.x
    assert (shares[1:] < shares[:-1]).all()


def test_noised_latents_and_their_velocity_tell_the_noise_and_the_latents() -> None:
    latents, noise = normal(1000, 4, 2, 2), normal(1000, 4, 2, 3)[..., :2]
    noised, speed = add_noise(latents, noise, ALL_STEPS), velocity(latents, noise, ALL_STEPS)
    torch.testing.assert_close(noise_of(noised, speed, ALL_STEPS), noise, atol=1e-5, rtol=1e-5)
    share = signal_shares().float()[:, None, None, None]
    torch.testing.assert_close(share.sqrt() * noised - (1 - share).sqrt() * speed, latents, atol=1e-5, rtol=1e-5)


def test_noising_keeps_unit_variance_and_goes_from_latents_to_noise() -> None:
    latents, noise = normal(2, 4, 64, 64), normal(2, 4, 64, 65)[..., :64]
    for step in (0, 400, 999):
        assert add_noise(latents, noise, torch.tensor([step, step])).std().item() == pytest.approx(1, abs=0.02)
    ends = torch.tensor([0, 999])
    noised, speed = add_noise(latents, noise, ends), velocity(latents, noise, ends)
    assert (noised[0] - latents[0]).std() < 0.04
    assert (speed[0] - noise[0]).std() < 0.04
    assert (noised[1] - noise[1]).std() < 0.08
    assert (speed[1] + latents[1]).std() < 0.08


def test_an_error_of_x0_counts_in_full_from_middle_noise_on_and_little_before() -> None:
    shares = signal_shares()
    ratio = shares / (1 - shares)
    of_latents = loss_weights(0.3, 0.02).double() * (ratio + 1)  # v's square error is x_0's times SNR + 1
    assert of_latents.shape == (1000,)
    assert of_latents[-1].item() == pytest.approx((ratio[-1].item() + 0.02) / 0.3, rel=1e-5)
    torch.testing.assert_close(of_latents[ratio >= 0.28], torch.ones_like(of_latents[ratio >= 0.28]))
    assert (of_latents[1:] <= of_latents[:-1] + 1e-6).all()


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_drawing_with_a_predictor_that_knows_the_latents_gives_them(steps: int) -> None:
    latents = 0.8 * normal(3, 4, 4, 4)
    shares = signal_shares().float()
    asked: list[int] = []

    def predict(x: "torch.Tensor", t: "torch.Tensor") -> "torch.Tensor":
        asked.append(int(t[0]))
        share = shares[t][:, None, None, None]
        return (x - share.sqrt() * latents) / (1 - share).sqrt()

    given = draw(predict, normal(3, 4, 4, 5)[..., :4], steps)
    torch.testing.assert_close(given, latents, atol=1e-4, rtol=1e-3)
    assert asked == sorted(set(asked), reverse=True)
    assert (asked[0], len(asked)) == (999, steps)


def test_the_first_latents_that_are_asked_about_are_the_start() -> None:
    start = normal(2, 4, 4, 4)
    seen = []

    def predict(x: "torch.Tensor", t: "torch.Tensor") -> "torch.Tensor":
        seen.append(x)
        return torch.zeros_like(x)

    draw(predict, start, 3)
    torch.testing.assert_close(seen[0], start)


def test_ten_steps_nearly_follow_the_exact_flow_of_normally_distributed_latents() -> None:
    start, spread, mean = normal(2, 4, 8, 8), 3.0, 0.3
    shares = signal_shares()

    def predict(x: "torch.Tensor", t: "torch.Tensor") -> "torch.Tensor":
        share = shares[t].float()[:, None, None, None]
        variance = share * spread**2 + 1 - share  # of x_t; the best guess of the noise is linear in x_t
        return (1 - share).sqrt() * (x - share.sqrt() * mean) / variance

    last = shares[-1].item()  # the flow maps quantiles of x_T to the same quantiles of x_0
    wanted = mean + spread * (start - last**0.5 * mean) / (last * spread**2 + 1 - last) ** 0.5
    errors = [float((draw(predict, start, steps) - wanted).square().mean().sqrt()) / spread for steps in (10, 20)]
    assert errors[0] < 0.02  # first order gives 0.10
    assert errors[1] < 0.4 * errors[0]
