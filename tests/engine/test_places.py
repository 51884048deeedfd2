"""Whose word counts for which node: flags, the file and the machine's profile, before anything is loaded."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeMachine, disk_at

from onnxflow.engine.places import Places, Placing, check_places, places
from onnxflow.engine.plan import make_plan
from onnxflow.errors import ProviderError, UsageError
from onnxflow.nodes.catalog import NodeCatalog, builtin_catalog
from onnxflow.nodes.spec import node
from onnxflow.placing import placing_of
from onnxflow.values import Model
from onnxflow.workflow.check import Checked, check
from onnxflow.workflow.read import workflow_from_document

DISK = disk_at(Path("nowhere"))


@node("PassOn", category="test", runs=())
def pass_on(model: Model) -> Model:
    """As a LoRA loader: a model in, the same model out."""
    return model


class Choice:
    """What a combo box gives."""

    SOCKET = "COMBO"


@node("NameDevice", category="test")
def name_device() -> Choice:
    """A device that is known only when it runs."""
    return "cpu"  # type: ignore[return-value]


CATALOG = NodeCatalog([*(builtin_catalog()[name] for name in builtin_catalog()), pass_on, name_device])


def sampler(model: str, latent: str = "4") -> dict[str, Any]:
    return {
        "model": [model, 0], "seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal",
        "positive": ["2", 0], "negative": ["2", 0], "latent_image": [latent, 0], "denoise": 1.0,
    }  # fmt: skip


def document(
    *, place_node: str | None = None, chain: int = 0, meta: Mapping[str, str] | None = None, **changes: Any
) -> dict[str, Any]:
    """Loader 1 -> text 2, [OnnxPlaceModel 3] -> chain of PassOn -> KSamplers 5 and 8 -> VAEDecode 6 -> SaveImage 7."""
    nodes: dict[str, tuple[str, dict[str, Any]]] = {
        "1": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        "2": ("CLIPTextEncode", {"text": "a star", "clip": ["1", 1]}),
        "4": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
    }
    last = "1"
    if place_node is not None:
        nodes["3"] = ("OnnxPlaceModel", {"model": [last, 0], "device": place_node})
        last = "3"
    for number in range(chain):
        nodes[f"p{number}"] = ("PassOn", {"model": [last, 0]})
        last = f"p{number}"
    nodes["5"] = ("KSampler", sampler(last))
    nodes["8"] = ("KSampler", sampler("1", "5"))
    nodes["6"] = ("VAEDecode", {"samples": ["8", 0], "vae": ["1", 2]})
    nodes["7"] = ("SaveImage", {"images": ["6", 0], "filename_prefix": "x"})
    nodes.update(changes)
    found: dict[str, Any] = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    for name, place in (meta or {}).items():
        found[name]["_meta"] = {"onnxflow": {"place": place}}
    return found


def walked(written: dict[str, Any], *flags: str, **profile: str) -> tuple[Places, Checked, Placing]:
    workflow = workflow_from_document(written)
    placing = placing_of(flags, profile, machine=FakeMachine())
    checked = check(workflow, CATALOG, DISK, None)
    return places(checked, workflow, placing), checked, placing


def wished(written: dict[str, Any], *flags: str, **profile: str) -> dict[str, str]:
    """The wishes for text, both samplers, and the decoder."""
    found = walked(written, *flags, **profile)[0]
    asked = {"2": "text_encoder", "5": "unet", "8": "unet", "6": "vae_decoder"}
    return {node_id: str(found.of(node_id, component)) for node_id, component in asked.items()}


ALL_AUTO = {"2": "auto", "5": "auto", "8": "auto", "6": "auto"}

# From the word that counts last to the one that counts first; each beats all above it. (what is added, what 5 is then)
CHAIN: list[tuple[str, dict[str, Any], str]] = [
    ("the profile, everything", {"profile": {"*": "cpu"}}, "cpu"),
    ("the profile, a component", {"profile": {"unet": "xnnpack"}}, "xnnpack"),
    ("the file, the loader for all", {"meta": {"1": "webgpu"}}, "webgpu"),
    ("the file, the loader's unet", {"meta": {"1": "unet=coreml:gpu,vae=cpu"}}, "coreml:gpu"),
    ("the file, OnnxPlaceModel", {"place_node": "cuda:1"}, "cuda:1"),
    ("the file, the node behind it", {"chain": 1, "meta": {"p0": "cuda:2"}}, "cuda:2"),
    ("the file, the sampler itself", {"meta": {"5": "cuda:3"}}, "cuda:3"),
    ("--place of everything", {"flags": ["*=cuda:4"]}, "cuda:4"),
    ("--place of the component", {"flags": ["unet=cuda:5"]}, "cuda:5"),
    ("--place of the loader", {"flags": ["1=cuda:6"]}, "cuda:6"),
    ("--place of the OnnxPlace node", {"flags": ["3=cuda:7"]}, "cuda:7"),
    ("--place of the node behind it", {"flags": ["p0=cuda:8"]}, "cuda:8"),
    ("--place of the sampler", {"flags": ["5=cuda:9@fp16"]}, "cuda:9@fp16"),
]


@pytest.mark.parametrize("length", range(1, len(CHAIN) + 1), ids=[name for name, _, _ in CHAIN])
def test_each_word_counts_before_all_that_stand_above_it(length: int) -> None:
    profile: dict[str, str] = {}
    meta: dict[str, str] = {}
    flags: list[str] = []
    shape: dict[str, Any] = {}
    for _, added, _ in CHAIN[:length]:
        profile |= added.get("profile", {})
        meta |= added.get("meta", {})
        flags += added.get("flags", [])
        shape |= {key: value for key, value in added.items() if key in ("place_node", "chain")}
    assert wished(document(meta=meta, **shape), *flags, **profile)["5"] == CHAIN[length - 1][2]


def test_nothing_is_wished_where_nobody_says_anything() -> None:
    found, checked, _ = walked(document(place_node=None))
    assert found.wishes == {} and wished(document()) == ALL_AUTO
    assert not any(list(found.explicit(call)) for call in checked.calls.values())


def test_two_samplers_of_one_model_may_run_in_two_places() -> None:
    assert wished(document(place_node="cuda:1")) == {**ALL_AUTO, "5": "cuda:1"}
    assert wished(document(), "8=webgpu") == {**ALL_AUTO, "8": "webgpu"}
    assert wished(document(), "5=cpu,8=webgpu", "unet=cuda") == {**ALL_AUTO, "5": "cpu", "8": "webgpu"}


def test_a_loader_is_the_default_of_all_that_comes_from_it() -> None:
    assert wished(document(), "1=cpu") == dict.fromkeys("2586", "cpu")
    placed = {"1": "unet=cuda:0,vae=cpu"}
    assert wished(document(meta=placed)) == {"2": "auto", "5": "cuda:0", "8": "cuda:0", "6": "cpu"}
    assert wished(document(meta=placed, place_node="webgpu"))["5"] == "webgpu"


def test_the_nearest_node_counts_also_where_it_speaks_of_all_and_the_further_of_one() -> None:
    assert wished(document(chain=1, meta={"1": "unet=cuda:0", "p0": "cpu"}))["5"] == "cpu"
    assert wished(document(place_node="cuda:0", meta={"3": "cpu"}))["5"] == "cpu"


def test_the_other_place_nodes_place_text_and_pictures() -> None:
    written = document(
        c=("OnnxPlaceClip", {"clip": ["1", 1], "device": "cpu@int8"}),
        v=("OnnxPlaceVae", {"vae": ["1", 2], "device": "openvino"}),
    )
    written["2"]["inputs"]["clip"] = ["c", 0]
    written["6"]["inputs"]["vae"] = ["v", 0]
    assert wished(written, "unet=webgpu") == {"2": "cpu@int8", "5": "webgpu", "8": "webgpu", "6": "openvino:cpu"}


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("7=cpu", ["--place '7': node 7 (SaveImage) runs no network", "5"]),
        ("4=cpu", ["node 4 (EmptyLatentImage) runs no network"]),
        ("99=cpu", ["no component '99', and no such node", "unet"]),
        ("vea=cpu", ["did you mean 'vae'"]),
        ("KSampler=cpu", ["no component 'KSampler'"]),
        ("5=cudda", ["no execution provider 'cudda'", "did you mean 'cuda'", "--place 5=cudda"]),
        ("left=cpu", ["--place 'left': node left is not needed by any output"]),
        ("5=cpu@fp_16", ["'fp_16' is no variant", "did you mean 'fp16'", "--place 5=cpu@fp_16"]),
        ("vae=cpu@half", ["'half' is no variant", "fp32, fp16, int8, int8-static", "--place vae=cpu@half"]),
    ],
)
def test_a_flag_for_what_there_is_not(flag: str, words: list[str]) -> None:
    unused = ("KSampler", sampler("1"))
    with pytest.raises(UsageError) as caught:
        walked(document(left=unused), flag)
    for word in words:
        assert word in caught.value.render()


@pytest.mark.parametrize(
    ("where", "text"),
    [
        *(("5", "cudda"), ("1", "unnet=cpu"), ("3", "cpu:7"), ("5", "unet="), ("5", "5=cpu")),
        *(
            ("7", "cudda"),
            ("4", "unet=cpu"),
            ("7", "cpu"),
            ("5", "vae=cpu"),
            ("6", "clip=cpu"),
            ("2", "unet=cpu,clip=cpu"),
        ),
        *(("5", "cpu@half"), ("3", "cpu@half")),
    ],
)
def test_a_file_that_names_what_there_is_not_names_the_node(where: str, text: str) -> None:
    shape = {"place_node": text} if where == "3" else {"meta": {where: text}}
    with pytest.raises(UsageError) as caught:
        walked(document(**shape))  # type: ignore[arg-type]
    assert caught.value.node is not None and caught.value.node.id == where and caught.value.hint


def test_a_file_may_place_what_the_node_has_or_all() -> None:
    meta = {"1": "unet=cpu,vae=webgpu", "2": "text_encoder=cpu", "6": "vae_encoder=cpu", "5": "cuda:1"}
    assert wished(document(meta=meta)) == {"2": "cpu", "5": "cuda:1", "8": "cpu", "6": "webgpu"}
    with pytest.raises(UsageError, match=r"places its vae_encoder, vae_decoder \('vae=cpu'\), and it has only unet"):
        walked(document(meta={"5": "vae=cpu"}))
    with pytest.raises(UsageError, match="it runs no network"):
        walked(document(meta={"4": "cpu"}))


def test_a_profile_names_no_nodes() -> None:
    with pytest.raises(UsageError, match=r"onnxflow.toml: there is no component '5'"):
        walked(document(), **{"5": "cpu"})
    for wrong in ("cudda", "cpu@half"):
        with pytest.raises(UsageError) as caught:
            walked(document(), unet=wrong)
        assert caught.value.where.startswith("onnxflow.toml, ")


def test_a_device_that_a_link_brings_is_unknown_unless_a_flag_says_it() -> None:
    written = document(place_node="cpu", n=("NameDevice", {}))
    written["3"]["inputs"]["device"] = ["n", 0]
    with pytest.raises(UsageError) as caught:
        walked(written)
    assert "comes from a link" in caught.value.message and "--place 3=DEVICE" in caught.value.hint
    assert caught.value.node is not None and caught.value.node.id == "3"
    for flag in ("3=webgpu", "1=webgpu", "unet=webgpu", "webgpu"):
        assert wished(written, flag)["5"] == "webgpu"
    with pytest.raises(UsageError, match="comes from a link"):
        walked(written, "clip=webgpu")
    written["3"]["_meta"] = {"onnxflow": {"place": "unet=cuda:1"}}
    assert wished(written)["5"] == "cuda:1"


def test_a_linked_device_of_two_text_encoders_is_known_when_both_are_placed() -> None:
    written = document(n=("NameDevice", {}), c=("OnnxPlaceClip", {"clip": ["1", 1], "device": ["n", 0]}))
    written["2"]["inputs"]["clip"] = ["c", 0]
    with pytest.raises(UsageError, match="comes from a link"):
        walked(written, "text_encoder=cpu")
    for flag in ("clip=cpu", "text_encoder=cpu,text_encoder_2=cpu"):
        assert wished(written, flag)["2"] == "cpu"


def refusals(written: dict[str, Any], *flags: str) -> list[str]:
    """The nodes whose devices do not work here."""
    found, checked, placing = walked(written, *flags)
    refused = []
    for call in checked.calls.values():
        try:
            check_places(found, call, placing.placer)
        except ProviderError as error:
            assert error.node is not None and error.hint == "install webgpu"
            refused.append(error.node.id)
    return sorted(refused)


def test_only_the_nodes_that_would_run_a_network_are_refused() -> None:
    assert refusals(document(chain=2), "unet=webgpu") == ["5", "8"]
    assert refusals(document(), "clip=webgpu") == ["2"]
    assert refusals(document(), "vae_encoder=webgpu") == []
    assert refusals(document(place_node="cpu", meta={"1": "unet=webgpu"})) == ["8"], "5 runs on the CPU"
    assert refusals(document(meta={"1": "webgpu"}), "unet=cpu,vae=cpu") == ["2"]


def keys(written: dict[str, Any], *flags: str, fallback: str = "refuse", on_nan: str = "error") -> dict[str, bytes]:
    workflow = workflow_from_document(written)
    placing = placing_of(flags, {}, fallback=fallback, on_nan=on_nan, machine=FakeMachine())
    checked = check(workflow, CATALOG, DISK, None)
    plan = make_plan(checked, DISK, None, places(checked, workflow, placing))
    return {step.call.node.id: step.key for step in plan.steps}


def changed(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> str:
    return "".join(sorted(name for name in first if first[name] != second[name]))


def test_keys_tell_places_apart_and_only_where_they_matter() -> None:
    plain = keys(document())
    checked = check(workflow_from_document(document()), CATALOG, DISK, None)
    assert plain == {step.call.node.id: step.key for step in make_plan(checked, DISK).steps}
    assert changed(plain, keys(document(), "8=cpu")) == "678"
    assert changed(plain, keys(document(), "vae=cpu")) == "67"
    assert changed(plain, keys(document(), "clip=cpu")) == "25678"
    assert changed(keys(document(), "8=cuda:0"), keys(document(), "8=cuda:1")) == "678"
    assert changed(keys(document(), "8=cuda@fp16"), keys(document(), "8=cuda@fp32")) == "678"
    assert changed(keys(document(), "unet=cuda"), keys(document(meta={"1": "unet=cuda:0"}))) == "", "the same place"
    assert changed(plain, keys(document(), "1=cpu")) == "25678", "not the loader, which runs nothing"
    chained = document(chain=1, place_node="cpu")
    assert changed(keys(chained), keys(chained, "p0=webgpu")) == "5678"
    assert changed(plain, keys(document(), "vae_encoder=cpu,text_encoder_2=cpu")) == "25678", "2 may run it"
    assert changed(plain, keys(document(), "vae_encoder=cpu")) == "", "nobody runs it"
    assert changed(plain, keys(document(), fallback="allow")) == "25678"
    assert changed(plain, keys(document(), on_nan="upcast")) == "25678"


def test_two_equal_nodes_in_two_places_are_two() -> None:
    written = document(
        d=("VAEDecode", {"samples": ["5", 0], "vae": ["1", 2]}),
        s=("SaveImage", {"images": ["d", 0], "filename_prefix": "y"}),
    )
    written["8"]["inputs"] = dict(written["5"]["inputs"])
    plain = keys(written)
    assert plain["5"] == plain["8"] and plain["d"] == plain["6"]
    found = keys(written, "5=cpu")
    assert found["5"] != found["8"] == plain["8"] and found["d"] != found["6"]


def test_a_chain_of_2000_loras_takes_linear_time() -> None:
    def seconds(length: int) -> float:
        workflow = workflow_from_document(document(chain=length, meta={"1": "unet=cuda:0,vae=cpu"}))
        checked = check(workflow, CATALOG, DISK, None)
        placing = placing_of(["clip=cpu"], {}, machine=FakeMachine())
        best = 9.0
        for _ in range(3):
            started = time.perf_counter()
            found = places(checked, workflow, placing)
            best = min(best, time.perf_counter() - started)
        assert str(found.of("5", "unet")) == "cuda:0"
        return best

    assert seconds(4000) < 8 * seconds(1000) + 0.01
    assert seconds(2000) < 0.5
