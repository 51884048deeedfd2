"""The autoencoder in tiles: by its nodes, and by itself where memory does not suffice."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from onnxflow.api import run
from onnxflow.cancel import CancelToken
from onnxflow.errors import MemoryLimitError
from onnxflow.models.store import ModelStore
from onnxflow.nodes.autoencoder import needed
from onnxflow.nodes.vae import vae_decode, vae_decode_tiled, vae_encode, vae_encode_tiled
from onnxflow.providers.machine import OnlyCpu
from onnxflow.providers.placement import ANY, Placer
from onnxflow.providers.session import SessionCache
from onnxflow.values import Feeds, Image, Latent, Vae


class Context:
    """The embedded model's VAE, with as much memory as a test says, whose calls fail above a number of pixels."""

    def __init__(self, free: int | None = None, largest: int = 10**9) -> None:
        self.free, self.largest = free, largest
        self.sizes: list[tuple[int, ...]] = []
        self.said: list[str] = []
        self.steps: list[tuple[int, int]] = []
        self._lease = SessionCache().lease(CancelToken())

    def session(self, handle: Any, component: str, calls: int = 1) -> Any:
        session = self._lease.get(handle.source, component, Placer(OnlyCpu()).place(ANY, handle.source, component))

        def call(feeds: Feeds) -> Any:
            (values,) = feeds.values()
            self.sizes.append(values.shape[2:])
            if values.shape[2] * values.shape[3] > self.largest:
                raise MemoryLimitError("too large")
            return session.run(feeds)

        return SimpleNamespace(run=call)

    def free_memory(self) -> int | None:
        return self.free

    def remark(self, text: str) -> None:
        self.said.append(text)

    def begin(self, total: int) -> None:
        pass

    def progress(self, value: int, total: int) -> None:
        self.steps.append((value, total))

    def check_cancelled(self) -> None:
        pass


VAE = Vae(ModelStore().checkpoint("onnxflow-tiny"))
RANDOM = np.random.default_rng(5)
LATENT = Latent(RANDOM.standard_normal((1, 4, 80, 72), np.float32))
PICTURE = Image(RANDOM.random((1, 640, 576, 3), np.float32))


def call(node: Any, *inputs: Any, **others: Any) -> tuple[Any, Context]:
    context = others.pop("context", None) or Context()
    return node.function(context, *inputs, **others), context


def test_a_picture_of_one_tile_is_the_whole_one() -> None:
    small = Latent(LATENT.samples[:, :, :20, :24])
    (whole, _), (tiles, context) = call(vae_decode, small, VAE), call(vae_decode_tiled, small, VAE, 1024)
    assert np.array_equal(whole.pixels, tiles.pixels) or np.abs(whole.pixels - tiles.pixels).max() <= 1e-6
    assert context.said == [] and context.steps[-1] == (3, 3)


def test_tiles_differ_little_from_the_whole() -> None:
    (whole, _), (tiles, context) = call(vae_decode, LATENT, VAE), call(vae_decode_tiled, LATENT, VAE, 256, 64)
    assert whole.pixels.shape == tiles.pixels.shape == (1, 640, 576, 3)
    assert np.abs(whole.pixels - tiles.pixels).mean() <= 0.02
    assert set(context.sizes) >= {(64, 16), (16, 64), (32, 32)}
    (whole, _), (tiles, _) = call(vae_encode, PICTURE, VAE), call(vae_encode_tiled, PICTURE, VAE, 256, 64)
    assert whole.samples.shape == tiles.samples.shape == (1, 4, 80, 72)
    assert np.abs(whole.samples - tiles.samples).mean() <= 0.1 * whole.samples.std()


@pytest.mark.parametrize(
    ("node", "tiled", "given"), [(vae_decode, vae_decode_tiled, LATENT), (vae_encode, vae_encode_tiled, PICTURE)]
)
def test_too_little_memory_cuts_the_picture_and_says_so(node: Any, tiled: Any, given: Any) -> None:
    component = node.runs[0]
    wanted = needed(VAE, component, 640, 576)
    found, context = call(node, given, VAE, context=Context(free=wanted - 1))
    by_node, _ = call(tiled, given, VAE, 512, 64)
    values = "pixels" if isinstance(found, Image) else "samples"
    assert np.array_equal(getattr(found, values), getattr(by_node, values))
    (said,) = context.said
    assert component in said and "in tiles of 512 pixels" in said and "are free" in said
    _, enough = call(node, given, VAE, context=Context(free=wanted))
    assert enough.said == [] and len(enough.sizes) == 1
    _, little = call(node, given, VAE, context=Context(free=1))
    assert "in tiles of 256 pixels" in little.said[0]


def test_a_call_that_runs_out_of_memory_is_cut() -> None:
    found, context = call(vae_decode, LATENT, VAE, context=Context(largest=64 * 64))
    by_node, _ = call(vae_decode_tiled, LATENT, VAE, 512, 64)
    assert np.array_equal(found.pixels, by_node.pixels)
    assert context.said == [
        "vae_decoder: in tiles of 512 pixels, averaged over three cuts: the whole picture did not fit into the memory"
    ]
    _, smaller = call(vae_decode, LATENT, VAE, context=Context(largest=32 * 32))
    assert "tiles of 256" in smaller.said[0]
    with pytest.raises(MemoryLimitError):
        call(vae_decode, LATENT, VAE, context=Context(largest=100))


def test_an_overlap_as_large_as_the_tile_does_no_harm() -> None:
    found, _ = call(vae_encode_tiled, PICTURE, VAE, 64, 4096)
    assert found.samples.shape == (1, 4, 80, 72) and np.isfinite(found.samples).all()
    decoded, _ = call(vae_decode_tiled, LATENT, VAE, 64, 4096)
    assert np.isfinite(decoded.pixels).all()


def test_the_run_reports_it(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Placer, "free_memory", lambda self: 1)
    workflow: dict[str, Any] = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "onnxflow-tiny"}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 576, "height": 576, "batch_size": 1}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }
    report = run(workflow, output_dir=tmp_path)
    (line,) = report.remarks
    assert "node 3" in line and "in tiles of 256 pixels" in line
    assert cast(Any, report.images[0]).shape == (576, 576, 3)
