"""Graphs that Optimum or Diffusers made, seen as the component contract's: names, types and shapes are translated.

Feeds come in the contract's names and outputs leave in them, as float32. What such a graph lacks is an error when
something needs it: a text encoder gives its last layer only, unless it was made for SDXL; a unet takes no ControlNet
residuals. That these graphs take another number of dimensions for a timestep, or other types, is the graph's to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import ModelError, ProviderError
from onnxflow.providers.graph import Facts, LoadedGraph

if TYPE_CHECKING:
    from onnxflow.values import Feeds

LOGVAR_RANGE: Final = (-30.0, 20.0)
_AGAIN: Final = "export the model again with 'onnxflow export'"
_LAYER: Final = "hidden_states."
_STEP: Final = 8  # latents per side of a picture of 64 pixels

Outputs = dict[str, NDArray[Any]]


class NamedGraph(LoadedGraph, Protocol):
    """A loaded graph that says what it takes and gives."""

    @property
    def inputs(self) -> Mapping[str, tuple[Any, ...]]:
        """The shape of every input: sizes, and anything else for free ones."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs' names."""
        ...


def translated(graph: NamedGraph, component: str, name: str) -> LoadedGraph:
    """``graph`` as the ``component`` of the contract, called ``name`` in messages; ModelError for one that cannot be
    that, which is closed then."""
    try:
        return _KINDS[component](graph, name)
    except BaseException:
        graph.close()
        raise


class _Translated:
    """A foreign graph; a component says how its feeds and its outputs are translated."""

    NEEDED: tuple[str, ...] = ()

    def __init__(self, graph: NamedGraph, name: str) -> None:
        self._graph = graph
        self._name = name
        missing = [output for output in self.NEEDED if output not in graph.outputs]
        if missing:
            raise ModelError(
                f"the graph of {name} does not give {' and '.join(missing)}, only {', '.join(graph.outputs)}",
                hint=_AGAIN,
            )

    def run(self, feeds: Feeds, cancel: CancelToken) -> Outputs:
        found = self._graph.run(self._feeds(feeds), cancel)
        return self._outputs({name: _widened(value) for name, value in found.items()})

    @property
    def facts(self) -> Facts:
        return self._graph.facts

    def ready(self, feeds: Feeds) -> bool:
        return self._graph.ready(self._feeds(feeds))

    def prepare(self, feeds: Feeds, cancel: CancelToken) -> None:
        self._graph.prepare(self._feeds(feeds), cancel)

    def close(self) -> None:
        self._graph.close()

    def _feeds(self, feeds: Feeds) -> Feeds:
        return feeds

    def _outputs(self, found: Outputs) -> Outputs:
        return found


class _TextEncoder(_Translated):
    """Token ids -> the last layer after the final norm, all layers before it where the graph gives them, pooled."""

    NEEDED = ("last_hidden_state",)

    def _feeds(self, feeds: Feeds) -> Feeds:
        return {"input_ids": feeds["input_ids"]}  # the graph finds the end of the text itself

    def _outputs(self, found: Outputs) -> Outputs:
        names = {"last_hidden_state": "last_hidden_state", "pooler_output": "pooled", "text_embeds": "projected"}
        made = {names[name]: value for name, value in found.items() if name in names}
        numbers = sorted(int(name.removeprefix(_LAYER)) for name in found if _is_layer(name))
        if numbers and numbers == list(range(len(numbers))):
            made["hidden_states"] = np.stack([found[f"{_LAYER}{number}"] for number in numbers])
        return made


class _Unet(_Translated):
    """The denoiser, without ControlNet residuals."""

    NEEDED = ("out_sample",)

    def _feeds(self, feeds: Feeds) -> Feeds:
        given = {}
        for name, value in feeds.items():
            if "residual" not in name or name in self._graph.inputs:
                given[name] = self._timestep(value) if name == "timestep" else value
            elif np.any(value):
                raise ModelError(
                    f"the graph of {self._name} takes no ControlNet residuals ({name})",
                    hint=f"{_AGAIN}, whose graphs take them, or take the ControlNet out of the workflow",
                )
        return given

    def _timestep(self, given: NDArray[Any]) -> NDArray[Any]:
        """One timestep for the whole batch, [], [1] or as many as the graph wants: samplers never mix them."""
        first, shape = given.reshape(-1)[:1], self._graph.inputs.get("timestep", ())
        if not shape:
            return first.reshape(())
        return np.repeat(first, shape[0] if isinstance(shape[0], int) else 1)

    def run(self, feeds: Feeds, cancel: CancelToken) -> Outputs:
        try:
            return super().run(feeds, cancel)
        except ProviderError as error:
            height, width = feeds["sample"].shape[2:]
            if height % _STEP or width % _STEP:
                error.hint = (
                    "graphs that Optimum or Diffusers made draw only sizes that 64 pixels divide, this is"
                    f" {width * 8} x {height * 8}: choose such a size, or {_AGAIN}"
                )
            raise


class _VaeEncoder(_Translated):
    """Picture -> mean and log variance, which the graph gives as one array, on the axis of the channels."""

    def __init__(self, graph: NamedGraph, name: str) -> None:
        if "latent_sample" in graph.outputs and "latent_parameters" not in graph.outputs:
            raise ModelError(
                f"the graph of {name} gives a random sample (latent_sample) instead of latents' mean: with it a"
                " seed would not give the same picture again",
                hint=f"{_AGAIN} or with a newer Optimum, or start from an empty latent",
            )
        self.NEEDED = ("latent_parameters",)
        super().__init__(graph, name)

    def _feeds(self, feeds: Feeds) -> Feeds:
        return {"sample": feeds["image"]}

    def _outputs(self, found: Outputs) -> Outputs:
        mean, logvar = np.split(found["latent_parameters"], 2, axis=1)
        return {"mean": np.ascontiguousarray(mean), "logvar": np.clip(logvar, *LOGVAR_RANGE)}


class _VaeDecoder(_Translated):
    """Unscaled latent -> picture."""

    NEEDED = ("sample",)

    def _feeds(self, feeds: Feeds) -> Feeds:
        return {"latent_sample": feeds["latent"]}

    def _outputs(self, found: Outputs) -> Outputs:
        return {"image": found["sample"]}


_KINDS: Final[Mapping[str, type[_Translated]]] = {
    "text_encoder": _TextEncoder,
    "text_encoder_2": _TextEncoder,
    "unet": _Unet,
    "vae_encoder": _VaeEncoder,
    "vae_decoder": _VaeDecoder,
}


def _is_layer(name: str) -> bool:
    return name.startswith(_LAYER) and name.removeprefix(_LAYER).isdecimal()


def _widened(value: NDArray[Any]) -> NDArray[Any]:
    return value.astype(np.float32) if value.dtype.kind == "f" else value
