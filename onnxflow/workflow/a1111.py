"""The text ``parameters`` that A1111, Forge and SD.Next write into pictures -> a graph in ComfyUI's API format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from onnxflow.errors import Problem, WorkflowError
from onnxflow.workflow.a1111_fields import Fields
from onnxflow.workflow.a1111_hires import HiresPass, read_hires
from onnxflow.workflow.a1111_prompt import Lora, Prompt, read_prompt
from onnxflow.workflow.a1111_remarks import read_resources, remarks_on
from onnxflow.workflow.a1111_samplers import SamplerChoice, find_sampler, is_schedule
from onnxflow.workflow.a1111_text import split_parameters

_SUFFIXES: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
_NONE: Final = ("none", "automatic", "built-in")
_NAMELESS: Final = "unnamed"
_LARGEST_SEED: Final = 2**64 - 1
_DEEPEST_LAYER: Final = 24


@dataclass(frozen=True, slots=True)
class A1111:
    """A graph in the API format (ids "1", "2", ...), and what the text says that has no place in it, a line each."""

    document: dict[str, Any]
    remarks: tuple[str, ...]


def read_a1111(text: str, where: str) -> A1111:
    """The txt2img graph that a ``parameters`` text describes; WorkflowError if it is none, or with all its problems.

    A model and a LoRA are named without a suffix there: .safetensors is added. ComfyUI draws a seed's noise on the CPU,
    which A1111 does only where the text has ``RNG: CPU``: else the graph is the same, but not the picture.
    """
    parameters = split_parameters(text, where)
    fields = Fields(parameters.pairs)
    remarks: list[str] = []
    embeddings = _embeddings(fields)
    positive = read_prompt(parameters.prompt, embeddings)
    negative = read_prompt(parameters.negative, embeddings, tags=False)
    problems = [*positive.problems]
    graph = _Graph()

    checkpoint = graph.add("CheckpointLoaderSimple", "Load Checkpoint", ckpt_name=_checkpoint(fields, remarks))
    vae = _vae(graph, fields, checkpoint)
    skip = fields.whole("Clip skip", 0, _DEEPEST_LAYER, default=0)
    model, clip = _loras(graph, positive.loras, checkpoint, skip)
    conditions = _encoded(graph, clip, positive, negative, "")

    size = fields.size("Size")
    choice = _sampler(fields, problems)
    shared = {"model": model, "seed": fields.whole("Seed", 0, _LARGEST_SEED)}
    steps = fields.whole("Steps", 1, 10_000)
    cfg = fields.number("CFG scale", low=0, high=100)
    hires = read_hires(fields, size, choice, steps, cfg, remarks)
    if hires is not None:
        size, problems = hires.first, [*problems, *hires.problems]
    _check_size(size, "Size", problems)

    empty = graph.add("EmptyLatentImage", f"{size[0]} x {size[1]}", width=size[0], height=size[1], batch_size=1)
    drawn = graph.sampled("KSampler", [empty, 0], choice, conditions, steps=steps, cfg=cfg, denoise=1.0, **shared)
    if hires is not None and hires.method is not None:
        _check_size(hires.target, "The size of Hires", problems)
        if hires.prompt or hires.negative:
            again = read_prompt(hires.prompt or parameters.prompt, embeddings)
            problems += again.problems
            if again.loras != positive.loras:  # A1111 takes the first pass's LoRAs out again
                shared["model"], clip = _loras(graph, again.loras, checkpoint, skip)
            second = read_prompt(hires.negative, embeddings, tags=False) if hires.negative else negative
            remarks += [*again.remarks, *second.remarks]
            conditions = _encoded(graph, clip, again, second, "Hires ")
        drawn = _second_pass(graph, drawn, conditions, hires, shared)
    decoded = graph.add("VAEDecode", "VAE Decode", samples=[drawn, 0], vae=vae)
    graph.add("SaveImage", "Save Image", images=[decoded, 0], filename_prefix="A1111")

    problems += fields.problems
    if problems:
        message = "these generation parameters cannot be drawn as they are"
        raise WorkflowError(message, problems=problems, where=where, code="prompt_outputs_failed_validation")
    remarks += [*positive.remarks, *negative.remarks, *remarks_on(fields, parameters.strays)]
    return A1111(graph.nodes, tuple(dict.fromkeys(remarks)))


class _Graph:
    """Nodes in the API format, numbered from 1."""

    def __init__(self) -> None:
        self.nodes: dict[str, Any] = {}

    def add(self, class_type: str, title: str, **inputs: Any) -> str:
        """The id of a new node."""
        node_id = str(len(self.nodes) + 1)
        self.nodes[node_id] = {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}
        return node_id

    def sampled(
        self, title: str, latent: list[Any], choice: SamplerChoice, conditions: tuple[str, str], **inputs: Any
    ) -> str:
        """The id of a new KSampler."""
        positive, negative = conditions
        named = {"sampler_name": choice.sampler, "scheduler": choice.scheduler}
        links = {"positive": [positive, 0], "negative": [negative, 0], "latent_image": latent}
        return self.add("KSampler", title, **inputs, **named, **links)


def _checkpoint(fields: Fields, remarks: list[str]) -> str:
    """The name of the model's file; where the text has none, a name that no model has, and a remark."""
    model, digest = fields.take("Model"), fields.take("Model hash")
    named, others = read_resources(fields.take("Civitai resources"))
    if others:
        remarks.append(f"Civitai resources: {others}")
    if model is not None:
        return _file_name(model)
    said = f", only its hash {digest}" if digest else ", only a title of Civitai's" if named else ""
    remarks.append(f"the text names no file of a model{said}: set ckpt_name of node 1")
    return _file_name(named or digest or _NAMELESS)


def _vae(graph: _Graph, fields: Fields, checkpoint: str) -> list[Any]:
    name = fields.take("VAE")
    if name is None or name.casefold() in _NONE:
        return [checkpoint, 2]
    return [graph.add("VAELoader", "Load VAE", vae_name=_file_name(name)), 0]


def _loras(graph: _Graph, loras: tuple[Lora, ...], checkpoint: str, skip: int) -> tuple[list[Any], list[Any]]:
    """The links to the model and to the text encoder, with the LoRAs in them, in the prompt's order."""
    model: list[Any] = [checkpoint, 0]
    clip: list[Any] = [checkpoint, 1]
    for lora in loras:
        loader = graph.add(
            "LoraLoader",
            f"LoRA {lora.name}",
            model=model,
            clip=clip,
            lora_name=_file_name(lora.name),
            strength_model=lora.model,
            strength_clip=lora.clip,
        )
        model, clip = [loader, 0], [loader, 1]
    if skip > 1:
        clip = [graph.add("CLIPSetLastLayer", f"Clip skip {skip}", clip=clip, stop_at_clip_layer=-skip), 0]
    return model, clip


def _encoded(graph: _Graph, clip: list[Any], positive: Prompt, negative: Prompt, pass_name: str) -> tuple[str, str]:
    return (
        graph.add("CLIPTextEncode", f"{pass_name}Prompt", text=positive.text, clip=clip),
        graph.add("CLIPTextEncode", f"{pass_name}Negative Prompt", text=negative.text, clip=clip),
    )


def _second_pass(
    graph: _Graph, drawn: str, conditions: tuple[str, str], hires: HiresPass, shared: dict[str, Any]
) -> str:
    width, height = hires.target
    crop = "disabled" if width * hires.first[1] == height * hires.first[0] else "center"
    larger = graph.add(
        "LatentUpscale",
        f"Hires {width} x {height}",
        samples=[drawn, 0],
        upscale_method=hires.method,
        width=width,
        height=height,
        crop=crop,
    )
    numbers = {"steps": hires.steps, "cfg": hires.cfg, "denoise": hires.denoise}
    return graph.sampled("Hires KSampler", [larger, 0], hires.choice, conditions, **numbers, **shared)


def _sampler(fields: Fields, problems: list[Problem]) -> SamplerChoice:
    """The sampler and the schedule; SD.Next names the schedule under keys that may hold other things too."""
    name = fields.take("Sampler")
    schedule = fields.take("Schedule type")
    for key in ("Sampler sigma", "Scheduler"):
        value = fields.take(key)
        if schedule is None and value is not None and is_schedule(value):
            schedule = value
    if name is None:
        problems.append(Problem("required_input_missing", "The text has no Sampler", hint="write Sampler: Euler a"))
        return SamplerChoice("", "")
    choice = find_sampler(name, schedule)
    if isinstance(choice, Problem):
        problems.append(choice)
        return SamplerChoice("", "")
    return choice


def _embeddings(fields: Fields) -> list[str]:
    """The names in ``TI hashes: "name: hash, ..."`` and Forge's ``TI: name, ...``."""
    values = f"{fields.take('TI hashes') or ''},{fields.take('TI') or ''}"
    return [name for value in values.split(",") if (name := value.partition(":")[0].strip())]


def _check_size(size: tuple[int, int], name: str, problems: list[Problem]) -> None:
    if not all(16 <= side <= 16384 for side in size):
        details, hint = f"{size[0]} x {size[1]}", "pictures are from 16 x 16 to 16384 x 16384 pixels"
        problems.append(Problem("value_not_in_list", f"{name} cannot be drawn", details, hint=hint))


def _file_name(name: str) -> str:
    return name if name.casefold().endswith(_SUFFIXES) else f"{name}.safetensors"
