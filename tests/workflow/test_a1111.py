"""A1111's parameters as graphs: texts as the programs write them, and texts that cannot be drawn."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import WorkflowError
from onnxflow.graph.graph import Link
from onnxflow.workflow.a1111 import read_a1111
from onnxflow.workflow.read import workflow_from_document

LINE = "Steps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 5, Size: 512x768, Model: mine"
HIRES = f"cat\n{LINE}, Denoising strength: 0.5, Hires upscale: 1.5"


def nodes(text: str) -> dict[str, dict[str, Any]]:
    """The nodes by class and, for those after the first of a class, a number: KSampler, KSampler 2."""
    found: dict[str, dict[str, Any]] = {}
    document = read_a1111(text, "a.png").document
    workflow_from_document(document)  # its shape is right
    for node in document.values():
        count = sum(name.split()[0] == node["class_type"] for name in found) + 1
        found[node["class_type"] + (f" {count}" if count > 1 else "")] = node["inputs"]
    return found


def remarks(text: str) -> str:
    return "\n".join(read_a1111(text, "a.png").remarks)


def refusal(text: str) -> WorkflowError:
    with pytest.raises(WorkflowError) as caught:
        read_a1111(text, "a.png")
    assert caught.value.where == "a.png" and caught.value.exit_code == 2
    return caught.value


def test_the_plainest_text() -> None:
    found = read_a1111(f"a cat\nNegative prompt: a dog\n{LINE}, Model hash: abc, Version: v1.10.1", "a.png")
    assert found.remarks == ()
    assert found.document == {
        "1": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "mine.safetensors"},
            "_meta": {"title": "Load Checkpoint"},
        },
        "2": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": "a cat", "clip": ["1", 1]},
            "_meta": {"title": "Prompt"},
        },
        "3": {
            "class_type": "CLIPTextEncode",
            "inputs": {"text": "a dog", "clip": ["1", 1]},
            "_meta": {"title": "Negative Prompt"},
        },
        "4": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 512, "height": 768, "batch_size": 1},
            "_meta": {"title": "512 x 768"},
        },
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "seed": 5,
                "steps": 20,
                "cfg": 7.5,
                "sampler_name": "euler_ancestral",
                "scheduler": "normal",
                "positive": ["2", 0],
                "negative": ["3", 0],
                "latent_image": ["4", 0],
                "denoise": 1.0,
            },
            "_meta": {"title": "KSampler"},
        },
        "6": {
            "class_type": "VAEDecode",
            "inputs": {"samples": ["5", 0], "vae": ["1", 2]},
            "_meta": {"title": "VAE Decode"},
        },
        "7": {
            "class_type": "SaveImage",
            "inputs": {"images": ["6", 0], "filename_prefix": "A1111"},
            "_meta": {"title": "Save Image"},
        },
    }


def test_every_link_leads_to_a_node_before_it() -> None:
    text = f"<lora:a:1> cat <lora:b:1>\n{LINE}, VAE: v.pt, Clip skip: 2, Hires upscale: 2, Denoising strength: 0.5"
    graph = workflow_from_document(read_a1111(text, "a").document).graph
    order = list(graph.nodes)
    assert order == [str(number) for number in range(1, len(order) + 1)]
    for node in graph.nodes.values():
        for value in node.inputs.values():
            assert not isinstance(value, Link) or order.index(value.node) < order.index(node.id)


def test_a_text_of_forge() -> None:
    found = read_a1111(
        "1girl, smile\nNegative prompt: text\nSteps: 30, Sampler: DPM++ 2M SDE, Schedule type: Karras, CFG scale: 5, "
        "Seed: 1839556000, Size: 832x1216, Model hash: 0123456789, Model: xl-v1.0, Denoising strength: 0.33, RNG: CPU, "
        'Hires Module 1: Use same choices, Hires prompt: "1girl, near\\nmore", Hires CFG Scale: 4, Hires upscale: 1.5, '
        "Hires steps: 12, Hires upscaler: Latent (bicubic), Beta schedule alpha: 0.6, Version: f2, Module 1: sdxl_vae",
        "a.png",
    )
    (remark,) = found.remarks
    assert "Module 1: sdxl_vae" in remark
    kinds = {node["class_type"] + node["_meta"]["title"]: node["inputs"] for node in found.document.values()}
    assert kinds["CLIPTextEncodeHires Prompt"]["text"] == "1girl, near\nmore"
    assert kinds["CLIPTextEncodeHires Negative Prompt"]["text"] == "text"
    second = kinds["KSamplerHires KSampler"]
    assert (second["steps"], second["cfg"], second["denoise"], second["seed"]) == (12, 4.0, 0.33, 1839556000)
    assert (second["sampler_name"], second["scheduler"]) == ("dpmpp_2m_sde", "karras")
    upscale = kinds["LatentUpscaleHires 1248 x 1824"]
    assert upscale["upscale_method"] == "bicubic" and upscale["crop"] == "disabled"


def test_a_text_of_sd_next() -> None:
    text = (
        "knight\nNegative prompt: batman\nSteps: 40, Size: 512x256, Sampler: DPM++ 2M, Scheduler: DPMSolverScheduler,"
        " Seed: 666, CFG scale: 8.0, Clip skip: 2, App: SD.Next, Version: 0eb4a98, Parser: a1111, Operations: txt2img, "
        "Pipeline: StableDiffusionXLPipeline, Model: base, Model hash: e6, Sampler sigma: karras, FreeU: b1=1.1 b2=1.15"
    )
    assert remarks(text) == "other parameters (FreeU: b1=1.1 b2=1.15)"
    found = nodes(text)
    assert found["KSampler"]["scheduler"] == "karras" and found["CLIPSetLastLayer"]["stop_at_clip_layer"] == -2


def test_a_text_of_civitai() -> None:
    text = (
        "night\nNegative prompt:\nSteps: 8, Sampler: Euler, CFG scale: 1, Seed: 123, Size: 832x1216, Clip skip: 0, "
        "Created Date: 2024-12-22T01:01:01.02Z, Civitai resources: "
        '[{"type":"checkpoint","modelVersionId":1,"modelName":"Some, model: [XL]","modelVersionName":"v2.0"},'
        '{"type":"lora","weight":0.7,"modelVersionId":11,"modelName":"some style"}], Civitai metadata: {"a": [1, 2]}'
    )
    assert nodes(text)["CheckpointLoaderSimple"] == {"ckpt_name": "Some, model: [XL].safetensors"}
    assert read_a1111(text, "a").remarks == (
        "Civitai resources: lora some style",
        "the text names no file of a model, only a title of Civitai's: set ckpt_name of node 1",
    )


def test_a_model_that_only_its_hash_names_is_said() -> None:
    text = f"cat\n{LINE.replace('Model: mine', 'Model hash: 7460a6fa')}"
    assert nodes(text)["CheckpointLoaderSimple"] == {"ckpt_name": "7460a6fa.safetensors"}
    assert "only its hash 7460a6fa" in remarks(text)
    without = f"cat\n{LINE.replace(', Model: mine', '')}"
    assert remarks(without) == "the text names no file of a model: set ckpt_name of node 1"
    assert nodes(without)["CheckpointLoaderSimple"] == {"ckpt_name": "unnamed.safetensors"}


@pytest.mark.parametrize("skip", ["0", "1", "2", "12"])
def test_clip_skip_sets_the_layer_from_two_on(skip: str) -> None:
    found = nodes(f"<lora:x:1>\n{LINE}, Clip skip: {skip}")
    if int(skip) < 2:
        assert "CLIPSetLastLayer" not in found and found["CLIPTextEncode"]["clip"] == ["2", 1]
    else:
        assert found["CLIPSetLastLayer"] == {"clip": ["2", 1], "stop_at_clip_layer": -int(skip)}
        assert found["CLIPTextEncode"]["clip"] == ["3", 0] == found["CLIPTextEncode 2"]["clip"]


@pytest.mark.parametrize(
    ("value", "name"), [("None", None), ("Automatic", None), ("v.pt", "v.pt"), ("kl-f8", "kl-f8.safetensors")]
)
def test_a_vae_of_its_own(value: str, name: str | None) -> None:
    found = nodes(f"cat\n{LINE}, VAE: {value}")
    assert found.get("VAELoader") == (name and {"vae_name": name})
    assert found["VAEDecode"]["vae"] == (["2", 0] if name else ["1", 2])


def test_loras_stand_in_a_row_between_model_and_prompts() -> None:
    found = nodes(f"cat <lora:a:0.8>, <lora:b:0.5:1>\n{LINE}")
    assert found["LoraLoader"] == {
        "model": ["1", 0], "clip": ["1", 1],
        "lora_name": "a.safetensors", "strength_model": 0.8, "strength_clip": 0.8,
    }  # fmt: skip
    assert found["LoraLoader 2"]["model"] == ["2", 0] and found["LoraLoader 2"]["clip"] == ["2", 1]
    assert (found["LoraLoader 2"]["strength_model"], found["LoraLoader 2"]["strength_clip"]) == (1.0, 0.5)
    assert found["KSampler"]["model"] == ["3", 0] and found["CLIPTextEncode"] == {"text": "cat ,", "clip": ["3", 1]}


def test_embeddings_are_named_as_comfyui_names_them() -> None:
    found = nodes(f'cat\nNegative prompt: (EasyNegative:1.2), bad\n{LINE}, TI hashes: "easynegative: c7, bad: 12"')
    assert found["CLIPTextEncode 2"]["text"] == "(embedding:EasyNegative:1.2), embedding:bad"


def test_the_second_pass_takes_its_own_loras() -> None:
    text = (
        f'<lora:a:1> cat\n{LINE}, Hires upscale: 2, Denoising strength: 0.5, Clip skip: 2, Hires prompt: "<lora:b:1> x"'
    )
    document = read_a1111(text, "a").document
    samplers = [node["inputs"] for node in document.values() if node["class_type"] == "KSampler"]
    assert [document[inputs["model"][0]]["inputs"]["lora_name"] for inputs in samplers] == [
        "a.safetensors",
        "b.safetensors",
    ]
    assert [document[inputs["positive"][0]]["inputs"]["text"] for inputs in samplers] == ["cat", "x"]
    for inputs in samplers:
        clip, _ = document[inputs["positive"][0]]["inputs"]["clip"]
        assert document[clip]["class_type"] == "CLIPSetLastLayer"


def test_everything_without_a_place_is_said_once() -> None:
    text = (
        f"a [cat] BREAK (dog) AND bird <hypernet:h:1>\nNegative prompt: <lora:n:1> BREAK\n{LINE}, ENSD: 31337, "
        "ADetailer model: face.pt, ADetailer confidence: 0.3, Refiner: xl [12], Refiner switch at: 0.8, Eta: 0.67, "
        'ControlNet 0: "Module: canny, Weight: 1", Foo: 1, Bar: 2, Variation seed: 3, RNG: NV, stray\nTemplate: x'
    )
    assert read_a1111(text, "a").remarks == (
        "the tag '<hypernet:h:1>'",
        "BREAK: the prompt is cut into chunks where its length asks for it",
        "AND: the prompts that it joins are read as one",
        "square brackets for less weight: ComfyUI reads them as letters",
        "tags in the negative prompt: A1111 reads them as letters, and so does this graph",
        "another seed for the noise of the steps (ENSD: 31337)",
        "ADetailer, which redraws faces or hands (ADetailer model: face.pt, ADetailer confidence: 0.3)",
        "the refiner, a second model for the last steps (Refiner: xl [12], Refiner switch at: 0.8)",
        "other parameters (Eta: 0.67, Foo: 1, Bar: 2)",
        "ControlNet, whose picture is not in the text (ControlNet 0: Module: canny, Weight: 1)",
        "variations of the seed (Variation seed: 3)",
        "noise that is not drawn on the CPU (RNG: NV)",
        "text among the parameters ('stray', 'Template: x')",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Steps: 20", "Steps: many", "Steps is not a whole number from 1 to 10000: 'many'"),
        ("Steps: 20", "Steps: 0", "Steps is not"),
        ("Steps: 20", "Steps: 20.5", "Steps is not"),
        ("Seed: 5", "Seed: -1", "write the seed it was drawn with"),
        ("Seed: 5", f"Seed: {2**64}", "Seed is not"),
        ("Seed: 5, ", "", "The text has no Seed"),
        ("7.5", "nan", "CFG scale is not a number"),
        ("7.5", "1e3", "CFG scale is not a number from 0 to 100: '1e3'"),
        ("512x768", "512", "Size is not a width and a height"),
        ("512x768", "8x768", "8 x 768"),
        ("512x768", "512x99999", "512 x 99999"),
        ("Euler a", "Eular b", "did you mean 'Euler a'"),
        ("Euler a", "Euler, Schedule type: Karas", "did you mean 'Karras'"),
        ("Sampler: Euler a, ", "", "The text has no Sampler"),
        ("mine", "mine, Clip skip: 25", "Clip skip is not a whole number from 0 to 24"),
        ("mine", "mine, Hires upscale: two", "Hires upscale is not"),
        ("mine", "mine, Hires upscale: 2", "The text has no Denoising strength"),
        (
            "mine",
            "mine, Hires upscale: 0.1, Size: 100x100, Denoising strength: 0.5",
            "The size of Hires cannot be drawn",
        ),
        ("mine", "mine, Hires upscale: 2, Denoising strength: 0.5, Hires sampler: Foo", "has no sampler"),
        ("cat", "cat <lora:x:much>", "The strength of a LoRA"),
        ("cat", "cat <lora:x:101>", "The strength of a LoRA"),
    ],
)
def test_values_that_cannot_be_drawn(old: str, new: str, message: str) -> None:
    text = f"cat\n{LINE}"
    assert old in text
    assert message in refusal(text.replace(old, new)).render()


def test_all_problems_are_found_at_once() -> None:
    assert len(refusal("<lora:x:y>\nSteps: x, Sampler: ?, Seed: -1, Size: big").problems) == 6


@pytest.mark.parametrize(
    "text", ["", "a cat", "a cat, Steps: 20", "{}", "Steps: 20", "\0", '{"nodes": [], "links": [], "a": 1}']
)
def test_other_texts_are_refused(text: str) -> None:
    assert "no generation parameters" in refusal(text).render()


WORDS = [
    *(
        "Steps: ",
        "20",
        ", ",
        "\n",
        "Sampler: ",
        "Euler a",
        "DPM++ 2M Karras",
        "Seed: ",
        "Size: ",
        "512x512",
        "CFG scale: ",
    ),
    *("Negative prompt: ", "<lora:", "x", ":", ">", "<", '"', "\\", "[", "{", "BREAK", "AND", "Model: ", "TI hashes: "),
    *(
        "Hires upscale: ",
        "Hires resize: ",
        "2",
        "0",
        "0x0",
        "Denoising strength: ",
        "0.5",
        "First pass size: ",
        "-",
        "é",
    ),
    *(
        "Hires upscaler: ",
        "Latent",
        "Civitai resources: ",
        "[{}]",
        "[1]",
        "Clip skip: ",
        "\r",
        "\u2028",
        "VAE: ",
        "(",
        ")",
    ),
]


@given(st.lists(st.sampled_from(WORDS), max_size=40).map("".join))
def test_any_words_are_read_or_refused(text: str) -> None:
    for whole in (text, f"{text}\n{LINE}", f"cat\n{LINE}, {text}"):
        try:
            found = read_a1111(whole, "any")
        except WorkflowError as error:
            assert error.render()
            continue
        assert workflow_from_document(found.document).graph.nodes
        assert all(len(remark) < 500 for remark in found.remarks)


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(WorkflowError):
        read_a1111(text, "any")
    read_a1111(f"{text}\n{LINE}".replace("<", ""), "any")
