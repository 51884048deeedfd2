import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import disk_at, workflow

from onnxflow.engine.events import Event
from onnxflow.engine.run import run_workflow
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.preview_any import LONGEST_JSON, text_of
from onnxflow.providers.session import SessionCache
from onnxflow.values import Clip, Cond, Conditioning, Image, Latent, Mask, Model, Vae


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\n'cat'", "a\n'cat'"),
        ("", ""),
        (7, "7"),
        (0.1, "0.1"),
        (float("nan"), "nan"),
        (True, "True"),
        (None, "None"),
        ({"a": [1, "é", None]}, '{"a": [1, "\\u00e9", null]}'),
        ((1, 2), "[1, 2]"),
    ],
)
def test_texts_numbers_and_json(value: Any, expected: str) -> None:
    assert text_of(value) == expected


def test_pictures_in_words() -> None:
    ramp = np.linspace(0, 1, 12, dtype=np.float32)
    assert text_of(Image(ramp.reshape(1, 2, 2, 3))) == "IMAGE (pixels: float32 [1, 2, 2, 3] from 0 to 1)"
    assert text_of(Mask(np.zeros((1, 0, 4), np.float32))) == "MASK (values: float32 [1, 0, 4])"
    assert text_of(Mask(np.full((1, 1, 1), np.nan, np.float32))) == "MASK (values: float32 [1, 1, 1] from nan to nan)"
    latent = Latent(np.zeros((1, 4, 2, 2), np.float32), Mask(np.ones((1, 8, 8), np.float32)), (3,), {"note": "x"})
    assert text_of(latent) == (
        "LATENT (samples: float32 [1, 4, 2, 2] from 0 to 0, noise_mask: MASK (values: float32 [1, 8, 8] from 1 to 1),"
        " batch_index: [3], extras: {note: 'x'})"
    )


def test_conditions_and_models_in_words() -> None:
    cond = Cond(np.zeros((1, 77, 8), np.float32), None, {"strength": 0.5})
    one = "Cond (cross_attn: float32 [1, 77, 8] from 0 to 0, extras: {strength: 0.5})"
    assert text_of(Conditioning((cond,))) == f"CONDITIONING (entries: [{one}])"
    assert text_of(Conditioning((cond,) * 20)).endswith(f"{one}, and 12 more])")
    bundle = open_bundle(embedded_folder())
    name = embedded_folder().name
    assert text_of(Model(bundle, ("patch",))) == f"MODEL of {name} with 1 patch(es)"
    assert [text_of(handle) for handle in (Clip(bundle), Vae(bundle))] == [f"CLIP of {name}", f"VAE of {name}"]


def test_never_thousands_of_numbers() -> None:
    numbers = list(range(LONGEST_JSON))
    for value in (numbers, {str(n): n for n in numbers}, np.arange(10**6), Image(np.zeros((1, 512, 512, 3)))):
        assert len(text_of(value)) < 200
    assert text_of(numbers) == f"[0, 1, 2, 3, 4, 5, 6, 7, and {LONGEST_JSON - 8:,} more]"


def test_what_has_no_end_and_what_cannot_be_said() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "[...]" in text_of(loop)
    deep: Any = None
    for _ in range(10_000):
        deep = [deep]
    assert "a list" in text_of(deep) or "[" in text_of(deep)
    while deep:  # taken apart by hand, or freeing it would recurse
        deep = deep.pop()
    assert text_of(10**5000) == "a int"
    assert text_of(object()).startswith("<object object")


@pytest.mark.parametrize("value", ["a cat", 7, 1.5, True, {"a": 1}])
def test_a_value_may_stand_in_the_node(value: Any, tmp_path: Path) -> None:
    events: list[Event] = []
    graph = workflow(s=("PreviewAny", {"source": value}))
    run_workflow(graph, builtin_catalog(), disk_at(tmp_path), SessionCache(), listeners=[events.append])
    (output,) = [event.data["output"] for event in events if event.type == "executed"]
    expected = json.dumps(value) if isinstance(value, dict) else str(value)
    assert list(output["text"]) == [expected]
