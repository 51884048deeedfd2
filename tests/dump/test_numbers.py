"""Numbers and values as JSON: valid, short, and the same every time."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.dump.numbers import short, shorts, statistics
from onnxflow.dump.part import json_part
from onnxflow.dump.thing import plain, thing_parts
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.sampling import find_sampler
from onnxflow.sampling.patches import FlowSampling
from onnxflow.values import Clip, Cond, Conditioning, Guider, Latent, Model, Noise, Vae


def test_statistics_leave_out_what_is_not_finite_and_count_it() -> None:
    assert statistics(np.array([1, 3], np.float32)) == {"min": 1, "max": 3, "mean": 2, "std": 1}
    broken = statistics(np.array([np.nan, np.inf, -np.inf, 5], np.float32))
    assert broken == {"min": 5, "max": 5, "mean": 5, "std": 0, "nan": 1, "infinite": 2}
    assert statistics(np.zeros((0, 3), np.float32)) == {}
    assert statistics(np.array([np.nan])) == {"nan": 1}
    assert statistics(np.array([True, False]))["mean"] == 0.5


def test_float32_is_written_in_the_digits_it_has() -> None:
    assert short(np.float32(0.1)) == 0.1
    assert shorts(np.array([0.1, np.nan, -np.inf], np.float32)) == [0.1, "nan", "-inf"]


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner), max_leaves=20
)


@given(VALUES)
def test_any_value_is_valid_json_and_reads_back(value: Any) -> None:
    document = {"value": plain(value)}
    text = json_part(document).make().decode("utf-8", errors="strict")
    assert json.loads(text, parse_constant=lambda name: 1 / 0) == document or "\\" in text


def test_rows_of_numbers_stand_on_one_line() -> None:
    text = json_part({"row": list(range(200)), "one": {"a": 1}}).make().decode()
    assert [line.strip()[:5] for line in text.splitlines()] == ["{", '"row"', '"one"', "}"]


def test_long_and_deep_things_are_cut() -> None:
    deep: list[Any] = []
    deep.append(deep)
    assert plain(deep)
    assert plain(list(range(1000)))[-1] == "... 900 more"
    assert plain({str(k): k for k in range(1000)})["..."] == "900 more"
    assert len(plain("x" * 99999)) < 11000


def bundle_handles() -> tuple[Model, Clip, Vae]:
    bundle = open_bundle(embedded_folder())
    return Model(bundle, (FlowSampling(3.0),)), Clip(bundle), Vae(bundle)


def document(value: Any, type_: str = "X") -> dict[str, Any]:
    (part,) = thing_parts(value, type_)
    found: dict[str, Any] = json.loads(part.make())
    return found


def test_a_model_says_what_it_is_and_its_patches() -> None:
    model, clip, vae = bundle_handles()
    found = document(model, "MODEL")
    assert (found["type"], found["model"], found["family"]) == ("MODEL", "onnxflow-tiny", "sd1")
    assert found["patches"] == [{"class": "FlowSampling", "shift": 3.0, "multiplier": 1000.0}]
    assert found["noise levels"]["sigma_max"] == 1.0
    assert document(Model(model.source))["noise levels"]["sigma_max"] == 14.61464
    assert list(document(clip)["networks"]) == ["text_encoder"]
    assert list(document(vae)["networks"]) == ["vae_encoder", "vae_decoder"] and "patches" not in document(vae)


def test_samplers_noise_and_guiders() -> None:
    model, _, _ = bundle_handles()
    assert document(find_sampler("ddim"))["name"] == "ddim" and document(find_sampler("euler"))["name"] == "euler"
    from onnxflow.nodes.samplers import sampler_lms

    lms = document(sampler_lms.function(order=3))
    assert lms["name"] == "lms" and lms["function"] == {"function": "lms", "options": {"order": 3}}
    assert document(Noise(7), "NOISE") == {"type": "NOISE", "class": "Noise", "seed": 7, "drawn": True}
    guider = document(Guider(model, Conditioning((Cond(np.ones((1, 3, 2)), extras={"strength": 0.5}),)), cfg=4.0))
    assert guider["cfg"] == 4.0 and guider["negative"] is None and guider["model"]["family"] == "sd1"
    assert guider["positive"]["entries"][0]["cross_attn"]["shape"] == [1, 3, 2]
    assert guider["positive"]["entries"][0]["options"] == {"strength": 0.5}


def test_what_nobody_knows_is_described_without_addresses() -> None:
    class Strange:
        pass

    found = plain({"a": Strange(), "f": partial(max, 1, key=len), "p": Path("x"), "l": lambda: 1, "s": {2, 1}})
    assert found["a"] == {"class": "Strange"} and found["p"] == "x" and found["s"] == ["1", "2"]
    assert found["f"]["function"] == "max" and "0x" not in json.dumps(found)
    assert plain(Latent(np.zeros((1, 4, 2, 2))))["shape"] == [1, 4, 2, 2]


def test_an_array_of_another_type_keeps_its_numbers() -> None:
    parts = list(thing_parts(np.arange(4), "ARRAY"))
    assert [part.ending for part in parts] == [".json", ".npz"]
