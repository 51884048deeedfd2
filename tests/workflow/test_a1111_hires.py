"""The second pass: its size in all the ways that texts say it, its upscaler, its sampler."""

from __future__ import annotations

from typing import Any

import pytest

from onnxflow.workflow.a1111 import read_a1111

LINE = "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, Size: 512x768, Model: mine, Denoising strength: 0.5"


def inputs(more: str, line: str = LINE) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The inputs of EmptyLatentImage, LatentUpscale and the samplers, and the remarks."""
    found = read_a1111(f"cat\n{line}, {more}", "a.png")
    chosen = ("EmptyLatentImage", "LatentUpscale", "KSampler")
    return [node["inputs"] for node in found.document.values() if node["class_type"] in chosen], found.remarks


def sizes(more: str, line: str = LINE) -> tuple[tuple[int, int], tuple[int, int], str]:
    (empty, _, larger, _), remarks = inputs(more, line)
    assert remarks == ()
    return (empty["width"], empty["height"]), (larger["width"], larger["height"]), larger["crop"]


@pytest.mark.parametrize(
    ("more", "target", "crop"),
    [
        ("Hires upscale: 2", (1024, 1536), "disabled"),
        ("Hires upscale: 1.3", (664, 992), "center"),  # eighths
        ("Hires scale: 2", (1024, 1536), "disabled"),
        ("Hires resize: 1024x1024", (1024, 1024), "center"),
        ("Hires resize: 1024x0", (1024, 1536), "disabled"),
        ("Hires resize: 0x1536", (1024, 1536), "disabled"),
        ("Hires resize: 0x0, Hires upscale: 2", (1024, 1536), "disabled"),
    ],
)
def test_sizes(more: str, target: tuple[int, int], crop: str) -> None:
    assert sizes(more) == ((512, 768), target, crop)


@pytest.mark.parametrize(("first", "size"), [("384x576", (384, 576)), ("0x0", (448, 640))])
def test_sizes_of_2022(first: str, size: tuple[int, int]) -> None:
    line = LINE.replace("512x768", "1024x1536")
    assert sizes(f"First pass size: {first}", line)[:2] == (size, (1024, 1536))


@pytest.mark.parametrize(
    ("upscaler", "method"),
    [
        ("Latent", "bilinear"),
        ("Latent (antialiased)", "bilinear"),
        ("Latent (bicubic)", "bicubic"),
        ("Latent (bicubic antialiased)", "bicubic"),
        ("Latent (nearest)", "nearest-exact"),
        ("Latent (nearest-exact)", "nearest-exact"),
    ],
)
def test_upscalers_of_latents(upscaler: str, method: str) -> None:
    found, remarks = inputs(f"Hires upscale: 2, Hires upscaler: {upscaler}")
    assert found[2]["upscale_method"] == method and remarks == ()


def test_upscalers_that_are_only_nearly_the_same_are_said() -> None:
    found, remarks = inputs("Hires upscale: 1.5, Hires upscaler: Latent (nearest)")
    assert len(found) == 4 and "half a pixel" in remarks[0]
    found, remarks = inputs("Hires upscale: 1.5, Hires upscaler: None")
    assert len(found) == 4 and "latents are enlarged instead" in remarks[0]


def test_an_upscaler_of_pixels_leaves_the_second_pass_out_and_says_so() -> None:
    found, remarks = inputs(
        "Hires upscale: 2, Hires upscaler: 4x-UltraSharp, Hires steps: 10, Hires CFG Scale: 5, Hires sampler: Euler"
    )
    assert len(found) == 2
    assert remarks == (
        "Hires upscaler '4x-UltraSharp', which enlarges pixels: the second pass, to 1024 x 1536, is left out",
    )


def test_a_strength_without_a_second_pass_is_said() -> None:
    found, remarks = inputs("Version: v1")
    assert len(found) == 2 and found[1]["denoise"] == 1.0
    assert remarks == ("Denoising strength '0.5': the picture that was redrawn is not in the text",)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", (20, 7.0, "dpmpp_2m", "karras")),
        ("Hires steps: 0, Hires CFG Scale: 0", (20, 7.0, "dpmpp_2m", "karras")),
        ("Hires steps: 9, Hires CFG scale: 3", (9, 3.0, "dpmpp_2m", "karras")),
        ("Hires sampler: Use same sampler", (20, 7.0, "dpmpp_2m", "karras")),
        ("Hires sampler: Euler", (20, 7.0, "euler", "karras")),
        ("Hires schedule type: SGM Uniform", (20, 7.0, "dpmpp_2m", "sgm_uniform")),
        ("Hires sampler: Euler a, Hires schedule type: Simple", (20, 7.0, "euler_ancestral", "simple")),
        ("Hires schedule type: Use same scheduler", (20, 7.0, "dpmpp_2m", "karras")),
    ],
)
def test_how_the_second_pass_is_drawn(more: str, expected: tuple[Any, ...]) -> None:
    (_, first, _, second), remarks = inputs(f"Hires upscale: 2, {more}")
    assert remarks == () and first["denoise"] == 1.0 and second["denoise"] == 0.5
    assert (second["steps"], second["cfg"], second["sampler_name"], second["scheduler"]) == expected
