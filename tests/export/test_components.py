# ruff: noqa: E402
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

import onnx
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from transformers import CLIPTextModel

from onnxflow.export import components
from onnxflow.export.attention import FusedProcessor
from onnxflow.export.components import Component, residual_shapes
from onnxflow.export.half import in_half
from onnxflow.export.trace import SMALL, write_graph


def load(kind: type, folder: Path) -> "torch.nn.Module":
    return kind.from_pretrained(str(folder)).float().eval()


def session(component: Component, path: Path, storage: str = "fp32") -> onnxruntime.InferenceSession:
    write_graph(component, path, storage)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def close(given: np.ndarray, wanted: "torch.Tensor", limit: float = 1e-5) -> bool:
    assert given.shape == tuple(wanted.shape)
    return float(np.abs(given - wanted.numpy()).max()) <= limit * float(wanted.abs().max())


def shapes(values: list) -> dict[str, list]:
    return {value.name: value.shape for value in values}


@pytest.fixture(scope="module")
def unet_session(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    component = components.unet(load(UNet2DConditionModel, random_model / "unet"))
    return session(component, tmp_path_factory.mktemp("unet") / "model.onnx")


def test_unet_names_and_axes(unet_session: onnxruntime.InferenceSession) -> None:
    inputs = shapes(unet_session.get_inputs())
    assert list(inputs)[:3] == ["sample", "timestep", "encoder_hidden_states"]
    assert list(inputs)[3:] == [f"down_residual_{index}" for index in range(6)] + ["mid_residual"]
    assert inputs["sample"] == ["batch", 4, "height", "width"]
    assert inputs["timestep"] == ["batch"]
    assert inputs["encoder_hidden_states"] == ["batch", "tokens", 16]
    assert inputs["mid_residual"] == [f"mid_residual_{axis}" for axis in ("batch", "channels", "height", "width")]
    assert shapes(unet_session.get_outputs()) == {"out_sample": ["batch", 4, "height", "width"]}
    assert unet_session.get_inputs()[1].type == "tensor(float)"


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 16, 16), (3, 15, 17), (1, 9, 6), (2, 32, 20)])
@pytest.mark.parametrize("controlled", [False, True])
def test_unet_computes_what_torch_computes(
    random_model: Path,
    unet_session: onnxruntime.InferenceSession,
    batch: int,
    height: int,
    width: int,
    controlled: bool,
) -> None:
    network = load(UNet2DConditionModel, random_model / "unet")  # with diffusers' own attention
    network.num_upsamplers = 16
    torch.manual_seed(height)
    sample, told = torch.randn(batch, 4, height, width), torch.randn(batch, 77, 16)
    timestep = torch.rand(batch) * 999
    residuals = {name: torch.randn(shape) for name, shape in residual_shapes(network, batch, height, width).items()}
    extra = {}
    if controlled:
        *down, mid = residuals.values()
        extra = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
    else:
        residuals = {name: torch.zeros(1, 1, 1, 1) for name in residuals}
    with torch.no_grad():
        wanted = network(sample, timestep, encoder_hidden_states=told, **extra).sample
    feeds = {"sample": sample, "timestep": timestep, "encoder_hidden_states": told, **residuals}
    (given,) = unet_session.run(None, {name: value.numpy() for name, value in feeds.items()})
    assert close(given, wanted)


@pytest.mark.parametrize(("batch", "tokens"), [(1, 77), (3, 77), (2, 20)])
def test_text_encoder_computes_what_transformers_computes(
    random_model: Path, tmp_path: Path, batch: int, tokens: int
) -> None:
    network = load(CLIPTextModel, random_model / "text_encoder")
    graph = session(components.text_encoder(network), tmp_path / "model.onnx")
    assert shapes(graph.get_inputs()) == {"inputs_embeds": ["batch", "tokens", 16], "eos_index": ["batch"]}
    assert graph.get_inputs()[1].type == "tensor(int64)"
    generator = np.random.default_rng(tokens)
    ids = generator.integers(0, 500, (batch, tokens))
    ends = generator.integers(1, tokens, batch)
    ids[np.arange(batch), ends] = 513
    with torch.no_grad():
        wanted = network(input_ids=torch.from_numpy(ids), output_hidden_states=True)
        table = network.embeddings.token_embedding.weight.numpy()
        raw = torch.stack(wanted.hidden_states[:2])
        normed = network.final_layer_norm(raw)
    hidden, normed_hidden, pooled = graph.run(
        ["hidden_states", "normed_hidden_states", "pooled"], {"inputs_embeds": table[ids], "eos_index": ends}
    )
    assert hidden.shape == normed_hidden.shape == (3, batch, tokens, 16)
    assert close(hidden[:2], raw)
    assert close(normed_hidden[:2], normed)
    assert close(normed_hidden[2], wanted.last_hidden_state)
    assert close(pooled, wanted.pooler_output)


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 64, 64), (3, 72, 40)])
def test_vae_computes_what_diffusers_computes(
    random_model: Path, tmp_path: Path, batch: int, height: int, width: int
) -> None:
    vae = load(AutoencoderKL, random_model / "vae")
    encoder = session(components.vae_encoder(load(AutoencoderKL, random_model / "vae")), tmp_path / "encoder.onnx")
    decoder = session(components.vae_decoder(load(AutoencoderKL, random_model / "vae")), tmp_path / "decoder.onnx")
    assert shapes(encoder.get_outputs()) == {
        "mean": ["batch", 4, "height", "width"],
        "logvar": ["batch", 4, "height", "width"],
    }
    assert shapes(decoder.get_inputs()) == {"latent": ["batch", 4, "height", "width"]}
    image = torch.rand(batch, 3, height, width) * 2 - 1
    with torch.no_grad():
        posterior = vae.encode(image).latent_dist
        decoded = vae.decode(posterior.mean).sample
    mean, logvar = encoder.run(["mean", "logvar"], {"image": image.numpy()})
    assert close(mean, posterior.mean)
    assert close(logvar, posterior.logvar)
    (given,) = decoder.run(["image"], {"latent": posterior.mean.numpy()})
    assert close(given, decoded)


def test_weights_keep_the_networks_names_and_values(random_model: Path, tmp_path: Path) -> None:
    network = load(UNet2DConditionModel, random_model / "unet")
    write_graph(components.unet(network), tmp_path / "model.onnx", "fp32")
    model = onnx.load(tmp_path / "model.onnx")
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert set(stored) == set(network.state_dict())
    for name, value in network.state_dict().items():
        np.testing.assert_array_equal(stored[name], value.numpy())
    onnx.checker.check_model(model)
    assert not any(node.doc_string or len(node.metadata_props) for node in model.graph.node)
    assert sum(node.op_type == "MultiHeadAttention" for node in model.graph.node) == 14


def test_half_storage_halves_the_file_and_computes_in_single_precision(random_model: Path, tmp_path: Path) -> None:
    vae = load(AutoencoderKL, random_model / "vae")
    session(components.vae_decoder(vae), tmp_path / "single.onnx")
    graph = session(components.vae_decoder(vae), tmp_path / "half.onnx", "fp16")
    tensors = onnx.load(tmp_path / "half.onnx").graph.initializer
    assert {tensor.data_type for tensor in tensors} == {onnx.TensorProto.FLOAT16}
    assert (tmp_path / "half.onnx").stat().st_size < 0.75 * (tmp_path / "single.onnx").stat().st_size
    latent = torch.randn(1, 4, 6, 5)
    (given,) = graph.run(None, {"latent": latent.numpy()})
    for parameter in vae.parameters():
        parameter.data = parameter.data.half().float()
    with torch.no_grad():
        assert close(given, vae.decode(latent).sample)


def test_large_weights_lie_in_a_file_beside_the_graph(random_model: Path, tmp_path: Path) -> None:
    component = components.vae_decoder(load(AutoencoderKL, random_model / "vae"))
    expected = session(component, tmp_path / "inline.onnx")
    write_graph(component, tmp_path / "large" / "model.onnx", "fp32", inline_limit=1000)
    stored = onnx.load(tmp_path / "large" / "model.onnx", load_external_data=False).graph.initializer
    outside = [tensor for tensor in stored if tensor.data_location == onnx.TensorProto.EXTERNAL]
    assert len(outside) > 20 and not any(tensor.raw_data for tensor in outside)
    assert max(len(tensor.raw_data) for tensor in stored) < SMALL
    graph = onnxruntime.InferenceSession(str(tmp_path / "large" / "model.onnx"), providers=["CPUExecutionProvider"])
    latent = np.random.default_rng(0).normal(size=(1, 4, 6, 5)).astype(np.float32)
    np.testing.assert_array_equal(graph.run(None, {"latent": latent})[0], expected.run(None, {"latent": latent})[0])


@pytest.mark.parametrize("upcast", [False, True])
def test_scores_that_overflow_in_half_precision_are_computed_in_single(upcast: bool, tmp_path: Path) -> None:
    """Stable Diffusion 2.1's do, and its pictures would be black."""
    torch.manual_seed(1)
    network = Attention(32, heads=1, dim_head=32, upcast_attention=upcast).eval()
    network.set_processor(FusedProcessor())
    network.to_q.weight.data *= 1000
    network.to_k.weight.data *= 1000
    dims = ("batch", "tokens", 32)
    single = Component("attention", network, {"x": torch.randn(2, 5, 32)}, {"x": dims}, {"y": dims})
    write_graph(in_half(single), tmp_path / "model.onnx", "native")
    graph = onnx.load(tmp_path / "model.onnx").graph
    (attention,) = (node for node in graph.node if node.op_type == "MultiHeadAttention")
    made = {name: node for node in graph.node for name in node.output}
    widened = [made[name].op_type == "Cast" and made[name].attribute[0].i == 1 for name in attention.input[:3]]
    assert widened == [upcast] * 3
    (reader,) = (node for node in graph.node if attention.output[0] in node.input)
    assert (reader.op_type == "Cast" and reader.attribute[0].i == 10) is upcast
