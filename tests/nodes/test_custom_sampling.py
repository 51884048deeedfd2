"""Drawing from parts gives what KSampler gives, and what the parts say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeLoader, disk_at, workflow

from onnxflow.engine.report import RunReport
from onnxflow.engine.run import run_workflow
from onnxflow.errors import InputError, NodeError, NumbersError, OnnxflowError
from onnxflow.models.tensors import open_tensors
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.providers.session import SessionCache
from onnxflow.values import SeedRule

CATALOG = builtin_catalog()


class Loader(FakeLoader):
    """Fakes whose network minds the text more."""

    @staticmethod
    def unet(feeds: Any) -> Any:
        shift = np.tanh(np.asarray(feeds["encoder_hidden_states"]).mean(axis=(1, 2)) * 1e3)
        return {"out_sample": np.asarray(feeds["sample"]) * np.float32(0.5) + shift.reshape(-1, 1, 1, 1)}


Graph = dict[str, tuple[str, dict[str, Any]]]


def base() -> Graph:
    """A model, two prompts and an empty latent."""
    return {
        "m": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        "p": ("CLIPTextEncode", {"text": "a red star", "clip": ("m", 1)}),
        "n": ("CLIPTextEncode", {"text": "", "clip": ("m", 1)}),
        "l": ("EmptyLatentImage", {"width": 64, "height": 32, "batch_size": 2}),
    }


def parts(sampler: str = "euler", **changes: dict[str, Any]) -> Graph:
    """SamplerCustomAdvanced from its parts; ``k={...}`` changes inputs of a node."""
    graph: Graph = {
        **base(),
        "g": ("CFGGuider", {"model": ("m", 0), "positive": ("p", 0), "negative": ("n", 0), "cfg": 3.0}),
        "b": ("BasicScheduler", {"model": ("m", 0), "scheduler": "karras", "steps": 4, "denoise": 1.0}),
        "s": ("KSamplerSelect", {"sampler_name": sampler}),
        "r": ("RandomNoise", {"noise_seed": 5}),
        "k": (
            "SamplerCustomAdvanced",
            {"noise": ("r", 0), "guider": ("g", 0), "sampler": ("s", 0), "sigmas": ("b", 0), "latent_image": ("l", 0)},
        ),
    }
    return {name: (kind, {**inputs, **changes.get(name, {})}) for name, (kind, inputs) in graph.items()}


def ksampler(sampler: str = "euler", **changes: Any) -> Graph:
    inputs = {
        "seed": 5, "steps": 4, "cfg": 3.0, "sampler_name": sampler, "scheduler": "karras", "denoise": 1.0,
        "model": ("m", 0), "positive": ("p", 0), "negative": ("n", 0), "latent_image": ("l", 0), **changes,
    }  # fmt: skip
    return {**base(), "k": ("KSampler", inputs)}


def drawn(
    folder: Path,
    graph: Graph,
    output: int = 0,
    node: str = "k",
    loader: FakeLoader | None = None,
    seed_rule: SeedRule = "next",
) -> np.ndarray:  # type: ignore[type-arg]
    """The latent that a node of the graph gives."""
    name = f"{node}{output}"
    graph = {**graph, "save": ("SaveLatent", {"samples": (node, output), "filename_prefix": name})}
    run(folder, graph, loader or Loader(), seed_rule)
    path = sorted((folder / "output").glob(f"{name}_*.latent"))[-1]
    return np.array(open_tensors(path).read("latent_tensor"))


def run(folder: Path, graph: Graph, loader: FakeLoader, seed_rule: SeedRule = "next") -> RunReport:
    return run_workflow(workflow(**graph), CATALOG, disk_at(folder), SessionCache(loader), seed_rule=seed_rule)


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m_sde", "lcm"])
def test_the_parts_draw_what_ksampler_draws(sampler: str, tmp_path: Path) -> None:
    expected = drawn(tmp_path, ksampler(sampler))
    assert np.array_equal(drawn(tmp_path, parts(sampler)), expected)
    graph = parts(sampler)
    graph["k"] = (
        "SamplerCustom",
        {
            "model": ("m", 0), "add_noise": True, "noise_seed": 5, "cfg": 3.0, "positive": ("p", 0),
            "negative": ("n", 0), "sampler": ("s", 0), "sigmas": ("b", 0), "latent_image": ("l", 0),
        },
    )  # fmt: skip
    assert np.array_equal(drawn(tmp_path, graph), expected)


def test_the_second_output_is_the_clean_latent_of_the_last_step(tmp_path: Path) -> None:
    graph = parts()
    graph["f"] = ("SplitSigmas", {"sigmas": ("b", 0), "step": 2})
    graph["k"][1]["sigmas"] = ("f", 0)
    noisy, clean = drawn(tmp_path, graph, 0), drawn(tmp_path, graph, 1)
    assert noisy.std() > 1.5 * clean.std()
    assert np.allclose(drawn(tmp_path, parts(), 0), drawn(tmp_path, parts(), 1), atol=1e-4)


def test_two_stages_continue_each_other(tmp_path: Path) -> None:
    whole = drawn(tmp_path, parts())
    graph = parts()
    graph["f"] = ("SplitSigmas", {"sigmas": ("b", 0), "step": 2})
    graph["k"][1]["sigmas"] = ("f", 0)
    graph["z"] = ("DisableNoise", {})
    graph["k2"] = (
        "SamplerCustomAdvanced",
        {**graph["k"][1], "noise": ("z", 0), "sigmas": ("f", 1), "latent_image": ("k", 0)},
    )
    assert np.allclose(drawn(tmp_path, graph, node="k2"), whole, atol=1e-4)


def test_a_basic_guider_is_cfg_1(tmp_path: Path) -> None:
    rows: list[int] = []

    class Counting(Loader):
        @staticmethod
        def unet(feeds: Any) -> Any:
            rows.append(len(feeds["sample"]))
            return Loader.unet(feeds)

    graph = parts()
    graph["g"] = ("BasicGuider", {"model": ("m", 0), "conditioning": ("p", 0)})
    basic = drawn(tmp_path, graph, loader=Counting())
    assert rows == [2] * 4
    assert np.allclose(basic, drawn(tmp_path, ksampler(cfg=1.0)), atol=1e-5)


@pytest.mark.parametrize("style", ["regular", "nested"])
def test_a_dual_guider_with_equal_second_sides_is_cfg(style: str, tmp_path: Path) -> None:
    graph = parts()
    graph["g"] = (
        "DualCFGGuider",
        {
            "model": ("m", 0), "cond1": ("p", 0), "cond2": ("n", 0), "negative": ("n", 0), "cfg_conds": 3.0,
            "cfg_cond2_negative": 1.0, "style": style,
        },
    )  # fmt: skip
    assert np.allclose(drawn(tmp_path, graph), drawn(tmp_path, ksampler()), atol=1e-4)


def test_the_older_rule_draws_the_noise_of_steps_from_the_seed_itself(tmp_path: Path) -> None:
    for sampler, differs in (("euler_ancestral", True), ("dpmpp_2m_sde", False), ("euler", False)):
        todays = drawn(tmp_path, ksampler(sampler))
        older = drawn(tmp_path, ksampler(sampler), seed_rule="same")
        assert np.array_equal(todays, older) != differs, sampler


def test_without_a_sigma_the_latent_comes_back_and_nothing_is_loaded(tmp_path: Path) -> None:
    graph = parts(b={"denoise": 0.0})
    loader = Loader()
    assert not drawn(tmp_path, graph, loader=loader).any()
    assert "unet" not in loader.loaded


def test_one_sigma_alone_is_noise_and_loads_nothing(tmp_path: Path) -> None:
    graph = parts()
    graph["f"] = ("SplitSigmas", {"sigmas": ("b", 0), "step": 0})
    graph["k"][1]["sigmas"] = ("f", 0)
    loader = Loader()
    noised = drawn(tmp_path, graph, loader=loader)
    assert noised.std() == pytest.approx(np.sqrt(1 + 14.6146**2) / 0.18215, rel=0.2)
    assert "unet" not in loader.loaded


def test_add_noise_is_scaled_by_the_levels_it_spans(tmp_path: Path) -> None:
    graph = parts()
    graph["a"] = ("AddNoise", {"model": ("m", 0), "noise": ("r", 0), "sigmas": ("b", 0), "latent_image": ("l", 0)})
    graph["z"] = ("DisableNoise", {})
    noised = drawn(tmp_path, graph, node="a")
    scale = run_scale()
    assert noised.std() == pytest.approx(14.6146 / scale, rel=0.2)
    graph["a"][1]["noise"] = ("z", 0)
    assert not drawn(tmp_path, graph, node="a").any()


def run_scale() -> float:
    from onnxflow.models.bundle import open_bundle
    from onnxflow.models.store import embedded_folder

    return open_bundle(embedded_folder()).latent.scale


def test_sigmas_that_rise_put_noise_on_a_latent_but_not_with_every_sampler(tmp_path: Path) -> None:
    graph = parts()
    graph["f"] = ("FlipSigmas", {"sigmas": ("b", 0)})
    graph["z"] = ("DisableNoise", {})
    graph["k"][1].update(sigmas=("f", 0), noise=("z", 0))
    assert np.isfinite(drawn(tmp_path, graph)).all()
    graph["s"] = ("KSamplerSelect", {"sampler_name": "dpmpp_2m_sde"})
    with pytest.raises(InputError, match="the sigmas rise") as caught:
        drawn(tmp_path, graph)
    assert caught.value.node is not None and caught.value.node.id == "k"


def test_a_latent_that_grows_while_it_is_drawn(tmp_path: Path) -> None:
    graph = parts()
    graph["s"] = ("SamplerLCMUpscale", {"scale_ratio": 2.0, "scale_steps": -1, "upscale_method": "bislerp"})
    assert drawn(tmp_path, graph).shape == (2, 4, 8, 16)


SAMPLER_NODES: dict[str, tuple[str, dict[str, Any]]] = {
    "SamplerEulerAncestral": ("euler_ancestral", {"eta": 1.0, "s_noise": 1.0}),
    "SamplerEulerAncestralCFGPP": ("euler_ancestral_cfg_pp", {"eta": 1.0, "s_noise": 1.0}),
    "SamplerEulerCFGpp": ("euler_cfg_pp", {"version": "regular"}),
    "SamplerLMS": ("lms", {"order": 4}),
    "SamplerDPMPP_2S_Ancestral": ("dpmpp_2s_ancestral", {"eta": 1.0, "s_noise": 1.0}),
    "SamplerDPMPP_SDE": ("dpmpp_sde", {"eta": 1.0, "s_noise": 1.0, "r": 0.5, "noise_device": "gpu"}),
    "SamplerDPMPP_2M_SDE": (
        "dpmpp_2m_sde", {"solver_type": "midpoint", "eta": 1.0, "s_noise": 1.0, "noise_device": "cpu"},
    ),
    "SamplerDPMPP_3M_SDE": ("dpmpp_3m_sde", {"eta": 1.0, "s_noise": 1.0, "noise_device": "gpu"}),
    "SamplerER_SDE": ("er_sde", {"solver_type": "ER-SDE", "max_stage": 3, "eta": 1.0, "s_noise": 1.0}),
    "SamplerSASolver": (
        "sa_solver",
        {
            "model": ("m", 0), "eta": 1.0, "sde_start_percent": 0.2, "sde_end_percent": 0.8, "s_noise": 1.0,
            "predictor_order": 3, "corrector_order": 4, "use_pece": False, "simple_order_2": False,
        },
    ),
    "SamplerDPMAdaptative": (
        "dpm_adaptive",
        {
            "order": 3, "rtol": 0.05, "atol": 0.0078, "h_init": 0.05, "pcoeff": 0.0, "icoeff": 1.0, "dcoeff": 0.0,
            "accept_safety": 0.81, "eta": 0.0, "s_noise": 1.0,
        },
    ),
}  # fmt: skip
"""Each class with its usual options, and the sampler that it then is."""


@pytest.mark.parametrize("kind", sorted(SAMPLER_NODES))
def test_a_sampler_node_with_its_usual_options_is_the_sampler_of_that_name(kind: str, tmp_path: Path) -> None:
    name, inputs = SAMPLER_NODES[kind]
    expected = drawn(tmp_path, parts(name))
    graph = parts()
    graph["s"] = (kind, inputs)
    assert np.array_equal(drawn(tmp_path, graph), expected)


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        ("SamplerEulerAncestral", "eta", 0.5),
        ("SamplerEulerAncestral", "s_noise", 0.5),
        ("SamplerEulerAncestralCFGPP", "eta", 0.5),
        ("SamplerEulerCFGpp", "version", "alternative"),
        ("SamplerLMS", "order", 2),
        ("SamplerDPMPP_2S_Ancestral", "eta", 0.5),
        ("SamplerDPMPP_SDE", "r", 0.4),
        ("SamplerDPMPP_2M_SDE", "solver_type", "heun"),
        ("SamplerDPMPP_3M_SDE", "s_noise", 0.5),
        ("SamplerER_SDE", "solver_type", "Reverse-time SDE"),
        ("SamplerER_SDE", "solver_type", "ODE"),
        ("SamplerER_SDE", "max_stage", 1),
        ("SamplerSASolver", "eta", 0.5),
        ("SamplerSASolver", "use_pece", True),
        ("SamplerSASolver", "simple_order_2", True),
        ("SamplerSASolver", "sde_start_percent", 0.7),
        ("SamplerSASolver", "predictor_order", 1),
        ("SamplerSASolver", "corrector_order", 0),
        ("SamplerDPMAdaptative", "rtol", 0.01),
        ("SamplerDPMAdaptative", "order", 2),
        ("SamplerDPMAdaptative", "eta", 1.0),
    ],
)
def test_an_option_changes_what_is_drawn(kind: str, option: str, value: Any, tmp_path: Path) -> None:
    name, inputs = SAMPLER_NODES[kind]
    graph = parts()
    graph["s"] = (kind, {**inputs, option: value})
    other = drawn(tmp_path, graph)
    assert np.isfinite(other).all()
    assert np.abs(other - drawn(tmp_path, parts(name))).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "options", "named"),
    [
        ("SamplerDPMPP_SDE", {"r": 0.0}, "r is 0"),
        ("SamplerDPMAdaptative", {"rtol": 0.0, "atol": 0.0}, "accepts no step"),
    ],
)
def test_options_that_make_no_step_are_named(kind: str, options: dict[str, Any], named: str, tmp_path: Path) -> None:
    graph = parts()
    graph["s"] = (kind, {**SAMPLER_NODES[kind][1], **options})
    with pytest.raises(InputError, match=named) as caught:
        drawn(tmp_path, graph)
    assert caught.value.node is not None


@pytest.mark.parametrize("option", ["eta", "s_noise"])
@pytest.mark.parametrize("kind", [kind for kind, (_, inputs) in SAMPLER_NODES.items() if "eta" in inputs])
def test_the_largest_options_are_a_picture_or_a_clear_error(kind: str, option: str, tmp_path: Path) -> None:
    graph = parts()
    most = 1.0 if kind == "SamplerEulerAncestralCFGPP" and option == "eta" else 10.0
    graph["s"] = (kind, {**SAMPLER_NODES[kind][1], option: most})
    try:
        assert np.isfinite(drawn(tmp_path, graph)).all()
    except OnnxflowError as error:
        assert isinstance(error, (InputError, NumbersError)) and not isinstance(error, NodeError)
