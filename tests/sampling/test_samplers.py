from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import (
    SAMPLERS,
    Array,
    CfgDenoiser,
    ModelSampling,
    SeededNoise,
    Term,
    discrete_sampling,
    find_sampler,
    flow_sampling,
    ksampler_sigmas,
    prepare_noise,
    sample_denoiser,
    slice_sigmas,
)

TOLERANCE = {"dpm_adaptive": 1e-5}
USUAL_TOLERANCE = 2e-6  # of the largest absolute value
SD, FLOW = discrete_sampling(), flow_sampling(3.0)


def case_inputs(case: dict[str, Any], arrays: dict[str, Array]) -> dict[str, Any]:
    """The arguments of ``sample_denoiser`` that a golden case was made with, but for denoiser and sigmas."""
    key = case["key"]
    shape = arrays[f"{key}__final"].shape
    inputs: dict[str, Any] = {
        "latent": np.zeros(shape, np.float32),
        "noise": prepare_noise(shape, case["seed"]),
        "sampler": case["sampler"],
        "seed": case["seed"],
        "seed_rule": "same",
    }
    if key.startswith(("i2i_", "inpaint_")):
        inputs["latent"] = arrays["img2img_latent"]
    if key.startswith("inpaint_soft_"):
        inputs["noise_mask"] = arrays["inpaint_mask_soft16"]
    elif key.startswith("inpaint_"):
        inputs["noise_mask"] = arrays["inpaint_mask"]
    if key.startswith("adv2_"):
        inputs["latent"] = arrays[key.replace("adv2_", "adv1_") + "__final"]
        inputs["noise"] = None
    return inputs


def test_every_golden_run_matches(
    golden: Callable[[str], Any],
    toy: Callable[[ModelSampling], Any],
    toy_term: Callable[..., Term],
    relative_error: Callable[[Array, Array], float],
) -> None:
    cases, arrays = golden("samplers").facts["cases"], golden("samplers").arrays
    worst: dict[str, float] = dict.fromkeys(SAMPLERS, 0.0)
    for case in cases:
        key, model = case["key"], FLOW if case["key"].startswith("flow_") else SD
        sigmas = ksampler_sigmas(model, case["scheduler"], case["sampler"], case["steps"], case["denoise"])
        sigmas = slice_sigmas(
            sigmas, case["start_step"] or 0, case["last_step"], force_full_denoise=case["force_full_denoise"]
        )
        network = toy(model)
        denoiser = CfgDenoiser(network, [toy_term(0.3)], [toy_term(-0.2)], case["cfg"])
        seen: list[tuple[int, int, Array]] = []

        def on_step(k: int, n: int, x: Array, denoised: Array, seen: list[Any] = seen) -> None:
            seen.append((k, n, x.copy()))

        final = sample_denoiser(denoiser, sigmas=sigmas, on_step=on_step, **case_inputs(case, arrays))
        errors = [relative_error(final, arrays[f"{key}__final"])]
        if f"{key}__x" in arrays:
            errors.append(relative_error(np.concatenate([x for _, _, x in seen]), arrays[f"{key}__x"]))
        assert max(errors) <= TOLERANCE.get(case["sampler"], USUAL_TOLERANCE), (key, errors)
        assert [k for k, _, _ in seen] == case["callback_indices"], key
        assert {n for _, n, _ in seen} == {len(sigmas) - 1}, key
        assert len(network.calls) == case["n_model_calls"], key
        worst[case["sampler"]] = max(worst[case["sampler"]], max(errors))
    print("worst error relative to the largest value:", {name: f"{error:.1e}" for name, error in worst.items()})
    assert {case["sampler"] for case in cases} == set(SAMPLERS)
    assert len(cases) == 154


def test_step_noise_follows_todays_rule_by_default(
    golden: Callable[[str], Any],
    toy: Callable[[ModelSampling], Any],
    toy_term: Callable[..., Term],
    relative_error: Callable[[Array, Array], float],
) -> None:
    samplers = golden("samplers").facts["seedplus1_samplers"]
    shape = (1, 4, 8, 8)
    for name in samplers:
        final = sample_denoiser(
            CfgDenoiser(toy(SD), [toy_term(0.3)], [toy_term(-0.2)], 2.0),
            noise=prepare_noise(shape, 42),
            latent=np.zeros(shape, np.float32),
            sigmas=ksampler_sigmas(SD, "karras", name, 8),
            sampler=name,
            seed=42,
        )
        assert relative_error(final, golden("samplers").arrays[f"seedplus1_{name}_karras__final"]) <= USUAL_TOLERANCE
    assert len(samplers) == 14


class Constant:
    """A denoiser that is sure of one latent."""

    def __init__(self, value: Array, model_sampling: ModelSampling) -> None:
        self.value = value
        self.model_sampling = model_sampling

    def __call__(self, x: Array, sigma: np.float32) -> Array:
        return self.value

    def with_uncond(self, x: Array, sigma: np.float32) -> tuple[Array, Array]:
        denoised = self(x, sigma)
        return denoised, denoised


@given(
    st.sampled_from(sorted(SAMPLERS)),
    st.sampled_from(["normal", "karras", "beta", "ddim_uniform", "simple"]),
    st.integers(1, 12),
    st.integers(0, 2**32),
    st.sampled_from([SD, FLOW]),
)
def test_a_denoiser_that_knows_the_answer_is_followed_to_it(
    sampler: str, scheduler: str, steps: int, seed: int, model: ModelSampling
) -> None:
    answer = prepare_noise((2, 4, 3, 5), seed + 1)
    sigmas = ksampler_sigmas(model, scheduler, sampler, steps)
    final = sample_denoiser(
        Constant(answer, model),
        noise=prepare_noise(answer.shape, seed),
        latent=np.zeros_like(answer),
        sigmas=sigmas,
        sampler=sampler,
        seed=seed,
        latent_scale=1.0,
    )
    assert final.dtype == np.float32
    if sampler.startswith("uni_pc") and steps == 1:
        return  # it has no step of order 0: what comes back is the noise, in ComfyUI too
    if sampler in ("dpm_fast", "dpm_adaptive") and len(sigmas) == 2:
        return  # they end at the level before 0, where they began: nothing is done, in ComfyUI too
    # ddpm goes by 1 - 1 / (1 + sigma^2), which has the rounding of 1: for small levels that is much of it.
    rounding = 1.2e-7 / float(sigmas[-2]) ** 2 if sampler == "ddpm" else 0.0
    assert np.abs(final - answer).max() <= 2e-5 + 10 * left_over(sampler, sigmas) + rounding


def left_over(sampler: str, sigmas: Array) -> float:
    """The level of the noise that a sampler leaves at the end."""
    if sampler in ("dpm_fast", "dpm_adaptive"):
        return float(sigmas[-2])
    return SAMPLERS[sampler].ends_at


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("model", [SD, FLOW], ids=["eps", "flow"])
def test_a_sampler_is_pure_and_survives_a_level_that_is_visited_twice(name: str, model: ModelSampling) -> None:
    x = prepare_noise((1, 4, 4, 4), 3)
    x.flags.writeable = False
    sigmas = np.array([0.9, 0.5, 0.5, 0.2, 0], np.float32)
    sigmas.flags.writeable = False

    class Half(Constant):
        def __call__(self, x: Array, sigma: np.float32) -> Array:
            return x * np.float32(0.5)

    def run() -> Array:
        return SAMPLERS[name].function(
            Half(x, model), x, sigmas, noise=SeededNoise(1, x.shape), on_step=lambda k, n, x, denoised: None
        )

    first = run()
    assert np.isfinite(first).all()
    assert np.array_equal(first, run())


def test_the_names_are_comfyuis(golden: Callable[[str], Any]) -> None:
    assert list(SAMPLERS) == golden("sigmas").facts["samplers"]


def test_an_unknown_sampler_is_named_with_its_neighbours_and_the_list() -> None:
    with pytest.raises(InputError, match="unknown sampler 'eulr'") as caught:
        find_sampler("eulr")
    assert "did you mean 'euler'" in caught.value.hint
    assert "dpmpp_2m" in caught.value.hint


@pytest.mark.parametrize("name", sorted(SAMPLERS))
@pytest.mark.parametrize("model", [SD, FLOW], ids=["eps", "flow"])
@pytest.mark.parametrize(
    "sigmas",
    [[0.9, 0.5, 0.9, 0.3, 0.1, 0], [0.01, 0.9, 0.5, 0.2, 0], [0.1, 0.3, 0.6, 0.9], [0.5, 0.7, 0.7, 0.5, 0.7, 0.2, 0]],
)
def test_levels_in_any_order_give_numbers_or_none_but_no_failure(
    name: str, model: ModelSampling, sigmas: list[float]
) -> None:
    answer = prepare_noise((1, 4, 4, 4), 2)
    with np.errstate(all="ignore"):
        found = sample_denoiser(
            Constant(answer, model),
            noise=prepare_noise(answer.shape, 3),
            latent=np.zeros_like(answer),
            sigmas=np.array(sigmas, np.float32),
            sampler=name,
            seed=3,
        )
    assert found.shape == answer.shape


def test_no_noise_is_added_where_a_step_goes_all_the_way_down() -> None:
    nothing = np.zeros((1, 4, 4, 4), np.float32)
    found = SAMPLERS["euler_ancestral"].function(
        Constant(nothing, SD), nothing + 2, np.array([1, 2], np.float32), noise=SeededNoise(1, nothing.shape),
        on_step=lambda k, n, x, denoised: None,
    )  # fmt: skip
    assert not found.any()


def test_a_flow_that_ends_in_pure_noise_says_what_to_cut() -> None:
    answer = prepare_noise((1, 4, 4, 4), 2)
    for sigmas, hint in (([1], "at least one step"), ([0.2, 0.6, 1], "SplitSigmas")):
        with pytest.raises(InputError, match="pure noise of a flow model") as caught:
            sample_denoiser(
                Constant(answer, FLOW), noise=answer, latent=answer, sigmas=np.array(sigmas, np.float32),
                sampler="euler", seed=1,
            )  # fmt: skip
        assert hint in caught.value.hint
