"""The nodes on latents against ComfyUI's own results, and beyond them."""

from typing import Any, cast

import numpy as np
import operations
import pytest

from onnxflow.errors import InputError
from onnxflow.nodes import composite, drawing, latent_arithmetic, latent_batch, latent_layout, latent_operation, rebatch
from onnxflow.nodes.spec import NodeSpec
from onnxflow.sampling.latent_operation import Sharpen, Tonemap
from onnxflow.values import Array, Image, Latent, Mask, Model

ARRAYS = operations.arrays()
LATENT, OTHER, SMALL = (Latent(ARRAYS[f"in_lat{name}"]) for name in ("", "2", "_small"))
THREE = Latent(ARRAYS["in_lat_batch3"], Mask(np.random.default_rng(3).random((3, 8, 8), np.float32)), (0, 1, 2))
MASK = Mask(ARRAYS["in_mask"])


def run(node: NodeSpec, **inputs: Any) -> Latent:
    found = node.function(**inputs)
    assert isinstance(found, Latent)
    return found


def _goldens() -> dict[str, tuple[NodeSpec, dict[str, Any]]]:
    two = {"samples1": LATENT, "samples2": OTHER}
    found: dict[str, tuple[NodeSpec, dict[str, Any]]] = {
        "LatentBlend_resize_0.4": (
            latent_arithmetic.latent_blend,
            {"samples1": LATENT, "samples2": SMALL, "blend_factor": 0.4},
        ),
        "RepeatLatentBatch_2": (latent_batch.repeat_latent_batch, {"samples": THREE, "amount": 2}),
        "LatentFromBatch_1_2": (latent_batch.latent_from_batch, {"samples": THREE, "batch_index": 1, "length": 2}),
        "LatentAdd": (latent_arithmetic.latent_add, two),
        "LatentAdd_resized": (latent_arithmetic.latent_add, {"samples1": LATENT, "samples2": SMALL}),
        "LatentSubtract": (latent_arithmetic.latent_subtract, two),
        "LatentInterpolate_0.4": (latent_arithmetic.latent_interpolate, {**two, "ratio": 0.4}),
        "LatentBatch": (latent_batch.latent_batch, {"samples1": LATENT, "samples2": SMALL}),
        "LatentCompositeMasked": (
            composite.latent_composite_masked,
            {"destination": LATENT, "source": SMALL, "x": 16, "y": 8, "mask": MASK},
        ),
    }
    for key, args in operations.arguments().items():
        if key in found:
            continue
        if key.startswith("LatentComposite_"):
            found[key] = composite.latent_composite, {"samples_to": LATENT, "samples_from": SMALL, **args}
        elif key.startswith("LatentRotate_"):
            found[key] = latent_layout.latent_rotate, {"samples": LATENT, **args}
        elif key.startswith("LatentFlip_"):
            found[key] = latent_layout.latent_flip, {"samples": LATENT, "flip_method": args["flip"]}
        elif key == "LatentCrop":
            found[key] = latent_layout.latent_crop, {"samples": LATENT, **args}
        elif key.startswith("LatentBlend_"):
            found[key] = latent_arithmetic.latent_blend, {**two, **args}
    return found


GOLDENS = _goldens()


def test_all_goldens_are_here() -> None:
    assert len(GOLDENS) == 9 + 3 + 4 + 2 + 1 + 3


@pytest.mark.parametrize("key", GOLDENS)
def test_as_comfyui(key: str) -> None:
    node, inputs = GOLDENS[key]
    found = run(node, **inputs)
    assert operations.relative_error(found.samples, ARRAYS[f"{key}.samples"]) <= operations.CLOSE
    places = operations.arguments()[key].get("out_batch_index")
    if places is not None:
        assert found.batch_index == tuple(places)
    if f"{key}.noise_mask" in ARRAYS:
        assert found.noise_mask is not None
        assert found.noise_mask.values.shape[0] == len(ARRAYS[f"{key}.noise_mask"])


def ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


def test_batches_of_another_number_begin_anew() -> None:
    three = Latent(np.arange(3, dtype=np.float32)[:, None, None, None] * ones(3, 4, 2, 2))
    two = Latent(np.array([10, 20], np.float32)[:, None, None, None] * ones(2, 4, 2, 2))
    assert run(latent_arithmetic.latent_add, samples1=three, samples2=two).samples[:, 0, 0, 0].tolist() == [10, 21, 12]
    assert len(run(latent_arithmetic.latent_add, samples1=two, samples2=three).samples) == 2
    narrow = Latent(ones(1, 16, 2, 2))
    for node in (latent_arithmetic.latent_add, latent_arithmetic.latent_blend, latent_batch.latent_batch):
        with pytest.raises(InputError, match="one latent has 4 channels, the other 16"):
            run(node, samples1=two, samples2=narrow)


def test_interpolating_zeros_gives_no_nan() -> None:
    zeros = Latent(np.zeros((2, 4, 3, 3), np.float32))
    full = Latent(np.random.default_rng(0).standard_normal((2, 4, 3, 3)).astype(np.float32))
    found = run(latent_arithmetic.latent_interpolate, samples1=zeros, samples2=full, ratio=0.5)
    assert np.allclose(found.samples, full.samples / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("index", "amount", "kept"),
    [(0, 1, [0]), (3, 9, [3, 4]), (99, 2, [4]), (-2, 1, [3]), (-2, 9, [3, 4]), (-99, 2, [0, 1])],
)
def test_cutting(index: int, amount: int, kept: list[int]) -> None:
    samples = np.arange(5, dtype=np.float32) * ones(1, 4, 3, 5)
    found = run(latent_layout.latent_cut, samples=Latent(samples), dim="x", index=index, amount=amount)
    assert found.samples[0, 0, 0].tolist() == kept
    turned = Latent(samples.swapaxes(2, 3))
    found = run(latent_layout.latent_cut, samples=turned, dim="y", index=index, amount=amount)
    assert found.samples[0, 0, :, 0].tolist() == kept


def test_side_by_side() -> None:
    one, two = Latent(ones(2, 4, 3, 5)), Latent(2 * ones(1, 4, 3, 2))
    found = run(latent_layout.latent_concat, samples1=one, samples2=two, dim="x").samples
    assert found[1, 0, 0].tolist() == [1] * 5 + [2] * 2
    assert run(latent_layout.latent_concat, samples1=one, samples2=two, dim="-x").samples[0, 0, 0, 0] == 2
    assert run(latent_layout.latent_concat, samples1=one, samples2=one, dim="t").samples.shape == (2, 8, 3, 5)
    with pytest.raises(InputError, match="do not go together along y"):
        run(latent_layout.latent_concat, samples1=one, samples2=two, dim="y")


def test_a_crop_of_a_latent_smaller_than_eight_cells() -> None:
    tiny = Latent(ones(1, 4, 3, 2))
    assert run(latent_layout.latent_crop, samples=tiny, x=800, y=800).samples.shape == (1, 4, 3, 2)


def test_seeds_of_a_batch() -> None:
    same = run(latent_batch.latent_batch_seed_behavior, samples=Latent(ones(3, 4, 2, 2), batch_index=(5, 6, 7)))
    assert same.batch_index == (5, 5, 5)
    assert run(latent_batch.latent_batch_seed_behavior, samples=Latent(ones(2, 4, 2, 2))).batch_index == (0, 0)
    own = run(latent_batch.latent_batch_seed_behavior, samples=same, seed_behavior="random")
    assert own.batch_index is None


def test_masks_go_with_their_latents() -> None:
    assert THREE.noise_mask is not None
    part = run(latent_batch.latent_from_batch, samples=THREE, batch_index=9, length=4)
    assert part.batch_index == (2,) and part.noise_mask is not None
    assert np.array_equal(part.noise_mask.values, THREE.noise_mask.values[2:])
    single = Latent(ones(3, 4, 2, 2), Mask(ones(1, 4, 4)))
    repeated = run(latent_batch.repeat_latent_batch, samples=single, amount=3)
    assert repeated.noise_mask is single.noise_mask and len(repeated.samples) == 9 and repeated.batch_index is None


def test_tonemapping_changes_lengths_only() -> None:
    latent = Latent(np.random.default_rng(0).standard_normal((2, 4, 12, 14)).astype(np.float32))
    lengths = np.linalg.norm(latent.samples, axis=1, keepdims=True)
    made = latent_operation.latent_operation_tonemap_reinhard.function(1.0)
    found = run(latent_operation.latent_apply_operation, samples=latent, operation=made).samples
    after = np.linalg.norm(found, axis=1, keepdims=True)
    assert np.allclose(found / after, latent.samples / lengths, atol=1e-5)
    assert not np.allclose(after, lengths, rtol=1e-3)
    # Reinhard's curve: L / (1 + L / t), t the mean and five deviations, one sample at a time.
    tops = [5 * one.std(ddof=1) + one.mean() for one in lengths.astype(np.float64)]
    expected = [one / (1 + one / top) for one, top in zip(lengths, tops, strict=True)]
    mapped = latent_operation.latent_operation_tonemap_reinhard.function(1.0).apply(latent.samples)
    assert np.allclose(np.linalg.norm(mapped, axis=1, keepdims=True), expected, rtol=1e-5)
    assert not latent_operation.latent_operation_tonemap_reinhard.function(0.0).apply(latent.samples).any()
    flat = ones(1, 4, 8, 8)
    assert np.allclose(latent_operation.latent_operation_sharpen.function(2, 1.0, 5.0).apply(flat), flat, atol=1e-5)
    with pytest.raises(InputError, match="a radius of 9 is too large for latents of 8x8 cells"):
        latent_operation.latent_operation_sharpen.function().apply(flat)


def test_guidance_goes_through_the_operations_in_their_order() -> None:
    scale, sharpen = Tonemap(1.0), Sharpen(2, 1.0, 0.05)
    model = Model(cast(Any, None))
    for operation in (scale, sharpen):
        model = latent_operation.latent_apply_operation_cfg.function(model, operation)
    combine = drawing._operated(model, drawing._rescaled(model))
    assert combine is not None
    x, cond, uncond = np.random.default_rng(0).standard_normal((3, 1, 4, 8, 8)).astype(np.float32)
    found = combine(x, np.float32(1), cond, uncond, 3.0)
    changed = sharpen.apply(scale.apply(cond - uncond) + uncond - uncond) + uncond
    assert np.allclose(found, uncond + (changed - uncond) * np.float32(3), atol=1e-5)


def test_batches_cut_anew() -> None:
    one = Latent(0 * ones(3, 4, 2, 2), Mask(0 * ones(1, 5, 5)))
    two, three = Latent(ones(2, 4, 2, 2)), Latent(2 * ones(1, 4, 3, 2), batch_index=(9,))
    found = rebatch.rebatch_latents.function(latents=[one, two, three], batch_size=[2])
    assert [len(latent.samples) for latent in found] == [2, 2, 1, 1]
    assert [latent.batch_index for latent in found] == [(0, 1), (2, 3), (4,), (9,)]
    assert [latent.noise_mask is None for latent in found] == [False, False, True, True]
    assert found[1].noise_mask.values.mean(axis=(1, 2)).tolist() == [0, 1]
    pictures = [Image(ones(3, 2, 2, 3)), Image(ones(1, 4, 2, 3))]
    parts = rebatch.rebatch_images.function(images=pictures, batch_size=[4])
    assert [part.pixels.shape for part in parts] == [(3, 2, 2, 3), (1, 4, 2, 3)]


@pytest.mark.parametrize("width", [1, 3, 5])
def test_narrow_latents_turn_as_wide_ones_do(width: int) -> None:
    values = np.random.default_rng(0).random((2, 4, 6, width), np.float32)
    turned = run(latent_layout.latent_rotate, samples=Latent(values), rotation="90 degrees").samples
    np.testing.assert_array_equal(turned, np.rot90(values, 1, (3, 2)))
    mirrored = run(latent_layout.latent_flip, samples=Latent(values), flip_method="y-axis: horizontally").samples
    np.testing.assert_array_equal(mirrored, values[..., ::-1])


def test_sharpening_changes_directions_and_keeps_lengths_apart() -> None:
    values = np.random.default_rng(0).standard_normal((2, 4, 12, 14)).astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True) + np.float32(1e-6)
    unit = values / lengths
    places = np.linspace(-1, 1, 7)
    kernel = np.exp(-(places**2) / 2)
    kernel /= kernel.sum()
    padded = np.pad(unit.astype(np.float64), ((0, 0), (0, 0), (3, 3), (3, 3)), mode="reflect")
    soft = sum(kernel[y] * kernel[x] * padded[:, :, y : y + 12, x : x + 14] for y in range(7) for x in range(7))
    expected = lengths * (unit + (unit - soft) * 1.0)
    np.testing.assert_allclose(Sharpen(3, 1.0, 0.1).apply(values), expected, rtol=1e-4, atol=1e-5)


def test_blending_one_latent_with_many() -> None:
    one, many = (Latent(np.full((count, 4, 2, 2), count, np.float32)) for count in (1, 4))
    assert run(latent_arithmetic.latent_blend, samples1=one, samples2=many, blend_factor=0.5).samples.shape[0] == 4
    assert run(latent_arithmetic.latent_blend, samples1=many, samples2=one, blend_factor=0.5).samples.shape[0] == 4
    two = Latent(np.zeros((2, 4, 2, 2), np.float32))
    with pytest.raises(InputError, match="cannot be blended"):
        run(latent_arithmetic.latent_blend, samples1=two, samples2=many, blend_factor=0.5)
