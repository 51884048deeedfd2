"""Templates of tiny networks of every family: a checkpoint runs straight from its file as torch computes it."""

# ruff: noqa: E402
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from families import KINDS, TINY, Case, original, unet_shape, write_case
from pictures import txt2img
from safetensors.torch import load_file, save_file

from onnxflow.api import run
from onnxflow.cancel import CancelToken
from onnxflow.errors import ModelError
from onnxflow.export import template_bundle, templates
from onnxflow.export.dynamic_int8 import write_quantized
from onnxflow.export.template_bundle import export_with_templates
from onnxflow.export.verify_templates import compare
from onnxflow.models.bundle import Bundle, open_bundle
from onnxflow.models.checkpoint import Checkpoint, open_checkpoint
from onnxflow.models.diffusers_folder import open_diffusers
from onnxflow.models.loose import open_vae
from onnxflow.models.source import Source
from onnxflow.providers.loading import DEFAULT, FAST, LOW, Loading
from onnxflow.providers.session import SessionKey, load_graph


@pytest.fixture(scope="module", params=KINDS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_templates: Path) -> Case:
    return write_case(request.param, tmp_path_factory.mktemp(request.param), tiny_templates)


def answers(source: Source, component: str, feeds: Mapping[str, Any], loading: Loading = LOW) -> dict[str, Any]:
    key = SessionKey(source.identity, component, "fp32", loading=loading)
    graph = load_graph(source, key, CancelToken())
    outputs = graph.run({name: value.numpy() for name, value in feeds.items()}, CancelToken())
    graph.close()
    return outputs


def worst(outputs: Mapping[str, Any], component: Any) -> float:
    """The largest difference from torch's outputs, relative to the largest value; infinity for a NaN."""
    with torch.no_grad():
        found = component.module(*component.examples.values())
    wanted = dict(zip(component.outputs, found if isinstance(found, tuple) else (found,), strict=True))
    apart = [float(np.abs(outputs[name] - value.numpy()).max() / value.abs().max()) for name, value in wanted.items()]
    return max(apart) if np.isfinite(apart).all() else float("inf")


def test_every_component_computes_what_torch_computes(case: Case) -> None:
    source = open_checkpoint(case.file, case.templates)
    components = case.components()
    assert source.manifest.components.keys() == components.keys()
    assert source.manifest.family == case.kind.family
    assert source.sampling.prediction == "eps"  # nothing in the tiny file says v
    for name, component in components.items():
        declared = source.component(name)
        assert list(declared.inputs) == list(component.inputs) and list(declared.outputs) == list(component.outputs)
        for loading in (LOW, DEFAULT, FAST):
            assert worst(answers(source, name, component.examples, loading), component) <= 1e-4


def test_a_diffusers_folder_computes_the_same(case: Case) -> None:
    source = open_diffusers(case.folder, case.templates)
    assert source.sampling.prediction == ("v" if case.kind.prediction == "v_prediction" else "eps")
    for name, component in case.components().items():
        assert worst(answers(source, name, component.examples), component) <= 1e-4


def test_the_engine_s_bundle_computes_the_same(case: Case, tmp_path: Path) -> None:
    source = open_checkpoint(case.file, case.templates)
    made = export_with_templates(source, tmp_path / "bundle", precisions=("fp32", "int8"))
    bundle = open_bundle(tmp_path / "bundle")
    for name, component in case.components().items():
        assert worst(answers(bundle, name, component.examples), component) <= 1e-4
    errors = {one.step.name: one.done.error for one in made}
    assert all(0 < error < 0.1 for name, error in errors.items() if name.endswith("int8"))
    assert all(error <= 1e-6 for name, error in errors.items() if name.endswith("fp32"))


def test_its_int8_graphs_hold_what_the_tracing_engine_s_hold(case: Case, tmp_path: Path) -> None:
    """Tensor by tensor: the graphs are the same but for how they are stored."""
    import onnx
    from onnx import numpy_helper

    source = open_checkpoint(case.file, case.templates)
    export_with_templates(source, tmp_path / "bundle", precisions=("int8",))
    for name in ("unet", *source.manifest.texts):
        write_quantized(case.components()[name], tmp_path / "traced.onnx")
        wanted, found = (
            {
                tensor.name.removeprefix("text_model."): numpy_helper.to_array(tensor)
                for tensor in onnx.load(path).graph.initializer
            }
            for path in (tmp_path / "traced.onnx", tmp_path / "bundle" / name / "model.int8.onnx")
        )
        assert wanted.keys() == found.keys()
        for key, values in wanted.items():
            assert values.dtype == found[key].dtype and np.array_equal(values, found[key]), key


DTYPES = {
    "F16": (torch.float16, 0.0),
    "BF16": (torch.bfloat16, 0.0),
    "F64": (torch.float64, 0.0),
    "F8_E4M3": (torch.float8_e4m3fn, 0.0),
    "F8_E5M2": (torch.float8_e5m2, 0.0),
}


@pytest.mark.parametrize("dtype", [*DTYPES, "mixed"])
def test_weights_may_be_stored_in_any_float(sd1: Case, tmp_path: Path, dtype: str) -> None:
    """Direct, and converted: as if they were widened first."""
    tensors = load_file(sd1.file)
    kinds = [kind for kind, _ in DTYPES.values()] if dtype == "mixed" else [DTYPES[dtype][0]]
    stored = {name: value.to(kinds[index % len(kinds)]) for index, (name, value) in enumerate(tensors.items())}
    save_file(stored, tmp_path / "stored.safetensors")
    save_file({name: value.float() for name, value in stored.items()}, tmp_path / "widened.safetensors")
    one, other = (open_checkpoint(tmp_path / f"{name}.safetensors", sd1.templates) for name in ("stored", "widened"))
    export_with_templates(one, tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle")
    for name, component in sd1.components().items():
        wanted = answers(other, name, component.examples)
        for source in (one, bundle):
            for loading in (LOW, FAST):
                found = answers(source, name, component.examples, loading)
                assert all(np.abs(found[key] - wanted[key]).max() <= 1e-5 * np.abs(wanted[key]).max() for key in wanted)
    tables = [np.asarray(source.token_table("text_encoder")[np.arange(300)], np.float32) for source in (one, other)]
    assert np.array_equal(*tables)


def test_marks_say_what_is_predicted(sd1: Case, tmp_path: Path) -> None:
    tensors = load_file(sd1.file)
    save_file({**tensors, "v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}, tmp_path / "v.safetensors")
    source = open_checkpoint(tmp_path / "v.safetensors", sd1.templates)
    assert (source.sampling.prediction, source.sampling.zero_snr) == ("v", True)
    assert source.unused == ("not needed: marks that say what the model predicts (2 tensors)",)


def test_what_is_not_needed_is_named_once(sd1: Case, tmp_path: Path) -> None:
    tensors = load_file(sd1.file)
    more = {f"model_ema.{index}": torch.zeros(2) for index in range(1000)}
    more |= {"first_stage_model.loss.perceptual_loss.lin0.weight": torch.zeros(2), "my.own": torch.zeros(2)}
    save_file({**tensors, **more}, tmp_path / "more.safetensors")
    assert open_checkpoint(tmp_path / "more.safetensors", sd1.templates).unused == (
        "not needed: the autoencoder's training loss (LPIPS) (1 tensor)",
        "not needed: the averaged copy of the denoiser (EMA) that training kept (1,000 tensors)",
        "of no known use, and left out: my.own (1 tensor)",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("model.diffusion_model.out.2.weight"), "has no tensor model.diffusion_model.out.2.weight"),
        (lambda t: t.pop("model.diffusion_model.out.2.bias"), "conv_out.bias is missing"),
        (
            lambda t: t.update({"model.diffusion_model.out.0.bias": torch.zeros(7)}),
            "model.diffusion_model.out.0.bias has the shape [7], expected [32]",
        ),
        (
            lambda t: t.update({"first_stage_model.decoder.conv_in.bias": torch.zeros(64, dtype=torch.int32)}),
            "first_stage_model.decoder.conv_in.bias is stored as I32",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(sd1: Case, tmp_path: Path, change: Any, words: str) -> None:
    tensors = load_file(sd1.file)
    change(tensors)
    save_file(tensors, tmp_path / "damaged.safetensors")
    with pytest.raises(ModelError) as error:
        open_checkpoint(tmp_path / "damaged.safetensors", sd1.templates)
    assert words in error.value.message


def test_a_pruned_relative_is_sent_to_the_tracing_engine(sd1: Case, tmp_path: Path) -> None:
    small = replace(unet_shape(KINDS["sd1"]), middle_depth=0, depths=(1, 0))
    from diffusers import UNet2DConditionModel

    from onnxflow.export.single_file import unet_config

    config = {**unet_config(small, "sd1"), "mid_block_type": None}
    network = UNet2DConditionModel(**config)
    tensors = {name: value for name, value in load_file(sd1.file).items() if "diffusion_model" not in name}
    weights = original("sd1", "unet", {name: value.numpy() for name, value in network.state_dict().items()})
    save_file(
        {**tensors, **{name: torch.from_numpy(value) for name, value in weights.items()}}, tmp_path / "x.safetensors"
    )
    with pytest.raises(ModelError) as error:
        open_checkpoint(tmp_path / "x.safetensors", sd1.templates)
    assert "`onnxflow export FOLDER`" in error.value.hint


def test_a_changed_file_is_refused_before_it_is_mapped(sd1: Case, tmp_path: Path) -> None:
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(sd1.file.read_bytes())
    source = open_checkpoint(copy, sd1.templates)
    copy.write_bytes(sd1.file.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="changed"):
        source.graph("unet", "fp32")


def test_the_runtime_draws_with_it(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same picture from the file, under an old workflow's name, and from the bundle made of it."""
    if case.kind.in_channels != 4:
        pytest.skip("an inpainting model needs its own node")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "tiny.safetensors").write_bytes(case.file.read_bytes())
    export_with_templates(open_checkpoint(case.file, case.templates), folder / "made")
    monkeypatch.setattr("onnxflow.models.checkpoint.template_folder", lambda: case.templates)
    pictures = []
    for name in ("sub\\TINY.ckpt", "made"):
        report = run(
            txt2img(name),
            models=[tmp_path],
            output_dir=tmp_path / "out",
            loading="low-memory",
        )
        pictures.append(report.images[0])
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1


def test_loose_networks_in_either_layout_decode_alike(sd1: Case, tmp_path: Path) -> None:
    whole = load_file(sd1.file)
    inner = {name.removeprefix("first_stage_model."): value for name, value in whole.items() if "first_stage" in name}
    save_file(inner, tmp_path / "original.safetensors")
    component = sd1.components()["vae_decoder"]
    diffusers = sd1.folder / "vae" / "diffusion_pytorch_model.safetensors"
    for path in (tmp_path / "original.safetensors", diffusers, sd1.file):
        source = open_vae(path, sd1.templates)
        assert source.remarks == (), "a checkpoint's other networks are not meant"
        assert worst(answers(source, "vae_decoder", component.examples), component) <= 1e-4


def test_every_template_is_compared_with_torch_by_the_tool(tiny_templates: Path) -> None:
    compared = list(compare([], tiny_templates, TINY))
    assert len(compared) == 20
    assert all(one.right for one in compared)
    assert max(one.error for one in compared if one.precision == "fp32") <= 1e-5
    assert 1e-4 < max(one.error for one in compared if one.precision == "int8") <= 0.1


def test_the_package_s_own_templates_have_the_real_shapes() -> None:
    """The weights of every real network are named and shaped in the shipped template, in both precisions."""
    from onnxflow.models.template import read_template, template_folder

    for name, make in templates.components_of(templates.REAL).items():
        component = make()
        named = component.module.named_parameters()
        shapes = {key.removeprefix("network.").removeprefix("text_model."): tuple(v.shape) for key, v in named}
        found = read_template(template_folder(), name).weights
        assert len(found) > 100
        assert all(shapes[key] == weight.shape for key, weight in found.items())
        halves = {"vae-encoder": "decoder.", "vae-decoder": "encoder."}
        quantized = re.compile(r"(\.(fp16|int8|columns|scale))+$")
        assert {
            quantized.sub("", key) for key in read_template(template_folder(), name, "int8").weights
        } == found.keys()
        missing = [key for key in shapes.keys() - found.keys() if not key.startswith(halves.get(name, "-"))]
        assert sorted(key for key in missing if "quant_conv" not in key and "token_embedding" not in key) == []
    assert sum(path.stat().st_size for path in template_folder().iterdir()) <= 10_000_000


@pytest.mark.slow
def test_the_package_s_own_templates_are_those_that_are_made_today(tmp_path: Path) -> None:
    from onnxflow.models.template import template_folder

    names = [name for name in templates.components_of(templates.REAL) if not name.startswith("sdxl")]  # XL's take 8 min
    made = {path.name: path.read_bytes() for path in templates.write_templates(tmp_path, names=names)}
    assert len(made) == 16
    assert made == {name: (template_folder() / name).read_bytes() for name in made}


def test_quantising_takes_bounded_memory(sd1: Case, tmp_path: Path) -> None:
    import tracemalloc

    from onnxflow.models.quantize import write_weights
    from onnxflow.models.template import read_template

    source = open_checkpoint(sd1.file, sd1.templates)
    template = read_template(sd1.templates, "sd1-unet", "int8")
    largest = max(np.prod(weight.shape) for weight in template.weights.values())
    tracemalloc.start()
    write_weights(template, source.networks["unet"].places, source.weights["unet"], 1, lambda *_: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 40 * largest + 5_000_000


def test_a_killed_export_goes_on(sd1: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_checkpoint(sd1.file, sd1.templates)
    whole = export_with_templates(source, tmp_path / "whole", precisions=("fp32", "int8"))
    real = template_bundle._make
    made: list[str] = []

    def killed(model: Checkpoint, step: Any, *rest: Any) -> Any:
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(step.name)
        return real(model, step, *rest)

    monkeypatch.setattr(template_bundle, "_make", killed)
    with pytest.raises(KeyboardInterrupt):
        export_with_templates(source, tmp_path / "resumed", precisions=("fp32", "int8"))
    assert not (tmp_path / "resumed").exists()
    monkeypatch.setattr(template_bundle, "_make", real)
    lines: list[str] = []
    again = export_with_templates(
        source, tmp_path / "resumed", precisions=("fp32", "int8"), resume=True, report=lines.append
    )
    assert any(line.startswith("goes on: ") for line in lines)
    assert [one.step for one in again] == [one.step for one in whole]
    one, other = (open_bundle(tmp_path / name) for name in ("whole", "resumed"))
    assert isinstance(one, Bundle)
    assert one.manifest.files == other.manifest.files
