"""Graphs with Optimum's names behind the component contract: what is translated, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import ModelError, ProviderError
from onnxflow.providers.device import CPU
from onnxflow.providers.foreign import translated
from onnxflow.providers.graph import Facts
from onnxflow.providers.placement import Placement
from onnxflow.providers.session import ModelSource, SessionCache, SessionKey

Arrays = Mapping[str, NDArray[Any]]
TOKEN = CancelToken()


@dataclass
class Graph:
    """A loaded graph that gives fixed arrays, or fails, and remembers what it was fed."""

    inputs: Mapping[str, tuple[Any, ...]]
    gives: Arrays
    error: Exception | None = None
    fed: dict[str, NDArray[Any]] = field(default_factory=dict)
    closed: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        return tuple(self.gives)

    def run(self, feeds: Arrays, cancel: CancelToken) -> dict[str, NDArray[Any]]:
        self.fed = dict(feeds)
        if self.error is not None:
            raise self.error
        return dict(self.gives)

    @property
    def facts(self) -> Facts:
        return Facts({"CPUExecutionProvider": 3})

    def ready(self, feeds: Arrays) -> bool:
        return "sample" in feeds

    def prepare(self, feeds: Arrays, cancel: CancelToken) -> None:
        self.fed = dict(feeds)

    def close(self) -> None:
        self.closed = True


def states(value: float, kind: type = np.float32) -> NDArray[Any]:
    return np.full((1, 3, 2), value, kind)


def test_a_text_encoder_is_fed_ids_and_gives_its_last_layer() -> None:
    graph = Graph({"input_ids": ("b", "s")}, {"last_hidden_state": states(1), "pooler_output": states(2)[:, 0]})
    feeds = {"input_ids": np.zeros((1, 3), np.int64), "eos_index": np.array([2])}
    found = translated(graph, "text_encoder", "mine").run(feeds, TOKEN)
    assert list(graph.fed) == ["input_ids"]
    assert sorted(found) == ["last_hidden_state", "pooled"]


def test_layers_are_stacked_in_their_order_as_float32() -> None:
    gives = {"text_embeds": states(9)[:, 0], "last_hidden_state": states(8)}
    gives |= {f"hidden_states.{layer}": states(layer, np.float16) for layer in reversed(range(12))}
    graph = Graph({"input_ids": ("b", "s")}, gives)
    found = translated(graph, "text_encoder_2", "mine").run({"input_ids": np.zeros((1, 3), np.int64)}, TOKEN)
    assert found["hidden_states"].shape == (12, 1, 3, 2) and found["hidden_states"].dtype == np.float32
    assert found["hidden_states"][:, 0, 0, 0].tolist() == list(range(12))
    assert found["projected"][0, 0] == 9
    gives.pop("hidden_states.3")  # layers are counted from the end: with a gap nobody knows which is which
    found = translated(Graph(graph.inputs, gives), "text_encoder_2", "mine").run({"input_ids": states(0)}, TOKEN)
    assert "hidden_states" not in found


def unet(timestep: tuple[Any, ...] = (), error: Exception | None = None) -> Graph:
    inputs = {"sample": ("b", 4, "h", "w"), "timestep": timestep, "encoder_hidden_states": ("b", "s", 2)}
    return Graph(inputs, {"out_sample": np.zeros((2, 4, 8, 8), np.float16)}, error)


def unet_feeds(height: int = 8, width: int = 8) -> dict[str, NDArray[Any]]:
    return {
        "sample": np.zeros((2, 4, height, width), np.float32),
        "timestep": np.array([7, 7], np.float32),
        "encoder_hidden_states": np.zeros((2, 3, 2), np.float32),
    }


@pytest.mark.parametrize(("shape", "fed"), [((), ()), ((1,), (1,)), (("batch",), (1,)), ((None,), (1,)), ((2,), (2,))])
def test_a_timestep_has_as_many_dimensions_as_the_graph_says(shape: tuple[Any, ...], fed: tuple[int, ...]) -> None:
    graph = unet(shape)
    found = translated(graph, "unet", "mine").run(unet_feeds(), TOKEN)
    assert graph.fed["timestep"].shape == fed and (graph.fed["timestep"] == 7).all()
    assert found["out_sample"].dtype == np.float32


def test_controlnet_residuals_are_dropped_when_zero_and_refused_otherwise() -> None:
    graph, feeds = unet(), unet_feeds()
    feeds |= {"down_residual_0": np.zeros((1, 1, 1, 1)), "mid_residual": np.zeros((1, 1, 1, 1))}
    translated(graph, "unet", "mine").run(feeds, TOKEN)
    assert sorted(graph.fed) == ["encoder_hidden_states", "sample", "timestep"]
    feeds["mid_residual"] = np.ones((1, 1, 1, 1))
    with pytest.raises(ModelError, match=r"takes no ControlNet residuals \(mid_residual\)") as caught:
        translated(graph, "unet", "mine").run(feeds, TOKEN)
    assert "onnxflow export" in caught.value.hint


@pytest.mark.parametrize(("height", "width", "hinted"), [(9, 8, True), (8, 12, True), (16, 8, False)])
def test_a_failure_at_a_size_that_the_graph_cannot_draw_is_explained(height: int, width: int, hinted: bool) -> None:
    graph = unet(error=ProviderError("Concat failed", hint="before"))
    with pytest.raises(ProviderError, match="Concat failed") as caught:
        translated(graph, "unet", "mine").run(unet_feeds(height, width), TOKEN)
    assert ("64 pixels divide" in caught.value.hint) is hinted
    if hinted:
        assert f"this is {width * 8} x {height * 8}" in caught.value.hint


def test_a_vae_encoder_gives_mean_and_a_bounded_logvar() -> None:
    parameters = np.concatenate([np.full((1, 4, 2, 2), 0.5), np.full((1, 4, 2, 2), -99)], axis=1).astype(np.float16)
    graph = Graph({"sample": ("b", 3, "h", "w")}, {"latent_parameters": parameters})
    found = translated(graph, "vae_encoder", "mine").run({"image": np.zeros((1, 3, 16, 16))}, TOKEN)
    assert list(graph.fed) == ["sample"]
    assert (found["mean"] == 0.5).all() and (found["logvar"] == -30).all()
    assert found["mean"].shape == (1, 4, 2, 2) and found["mean"].dtype == np.float32


def test_a_vae_decoder_has_other_names() -> None:
    graph = Graph({"latent_sample": ("b", 4, "h", "w")}, {"sample": np.ones((1, 3, 8, 8))})
    assert translated(graph, "vae_decoder", "mine").run({"latent": np.zeros((1, 4, 1, 1))}, TOKEN)["image"].all()
    assert list(graph.fed) == ["latent_sample"]


@pytest.mark.parametrize(
    ("component", "gives", "words"),
    [
        ("vae_encoder", "latent_sample", "gives a random sample"),
        ("vae_encoder", "moments", "does not give latent_parameters, only moments"),
        ("vae_decoder", "image", "does not give sample, only image"),
        ("unet", "noise", "does not give out_sample, only noise"),
        ("text_encoder", "pooler_output", "does not give last_hidden_state, only pooler_output"),
    ],
)
def test_a_graph_that_gives_something_else_is_refused_and_closed(component: str, gives: str, words: str) -> None:
    graph = Graph({}, {gives: np.zeros(1)})
    with pytest.raises(ModelError, match=words):
        translated(graph, component, "mine")
    assert graph.closed


def test_closing_gives_the_graph_back() -> None:
    graph = unet()
    translated(graph, "unet", "mine").close()
    assert graph.closed


class Source:
    identity, name = "id", "mine"

    def variants(self, component: str) -> tuple[str, ...]:
        return ("fp32",)


def test_it_runs_as_a_session_and_says_where() -> None:
    graph = Graph({"latent_sample": (1, 4, 8, 8)}, {"sample": np.zeros((1, 3, 64, 64), np.float32)})

    def load(source: ModelSource, key: SessionKey, cancel: CancelToken) -> Any:
        return translated(graph, key.component, "mine")

    lease = SessionCache(load).lease(TOKEN)
    feeds = {"latent": np.zeros((1, 4, 8, 8), np.float32)}
    session = lease.get(Source(), "vae_decoder", Placement(CPU, "fp32"))  # type: ignore[arg-type]
    assert list(session.run(feeds)) == ["image"]
    assert lease.uses()[0].facts == graph.facts
    made = translated(graph, "vae_decoder", "mine")
    assert not made.ready(feeds), "asked in the graph's own names"
    made.prepare(feeds, TOKEN)
    assert list(graph.fed) == ["latent_sample"]
