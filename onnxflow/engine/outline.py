"""What a run would do, before it does anything: its steps, the networks that each runs, the files they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onnxflow.engine.places import COMPONENTS, Places, kind_of, run_by
from onnxflow.engine.plan import Plan, Step
from onnxflow.errors import OnnxflowError
from onnxflow.models.disk import Disk
from onnxflow.models.source import Source
from onnxflow.providers.placement import ANY

_LOADERS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "CheckpointLoader": ("checkpoint", ("ckpt_name",)),
    "CheckpointLoaderSimple": ("checkpoint", ("ckpt_name",)),
    "CLIPLoader": ("clip", ("clip_name",)),
    "DiffusersLoader": ("diffusers", ("model_path",)),
    "DualCLIPLoader": ("clip", ("clip_name1", "clip_name2")),
    "UNETLoader": ("unet", ("unet_name",)),
    "VAELoader": ("vae", ("vae_name",)),
}
"""What a class asks the store for, by the names in these inputs."""


@dataclass(frozen=True, slots=True)
class Used:
    """A network that a step runs: the component, its precision, its model, where that lies, the bytes of its weights,
    and where it is wished to run ("" for wherever is fastest)."""

    component: str
    variant: str
    model: str
    path: Path
    size: int
    place: str


@dataclass(frozen=True, slots=True)
class OutlinedStep:
    """A node of the plan. ``same`` is the id of an earlier node with the same result, which this one takes; ``reads``
    are the ids of the nodes that it reads from, each once."""

    id: str
    class_type: str
    title: str
    runs: tuple[Used, ...]
    reads: tuple[str, ...]
    same: str
    output: bool


def outline(plan: Plan, disk: Disk, placed: Places) -> tuple[OutlinedStep, ...]:
    """Every step that would run, in order. Reads the manifests and headers of models, and no weights; ModelError for
    one that is damaged."""
    sources: dict[tuple[str, str], Source] = {}  # by node and kind of handle
    found: list[OutlinedStep] = []
    for step in plan.steps:
        links = dict(step.call.links)
        loaded = _loaded(step, disk)
        for output in step.call.spec.outputs:
            if output.type not in COMPONENTS:
                continue
            kind = kind_of(output.type)
            same = [item.name for item in step.call.spec.inputs if _is(item.type, kind) and item.name in links]
            linked = (links[name].node for name in same)
            source = loaded or next((sources[node, kind] for node in linked if (node, kind) in sources), None)
            if source is not None:
                sources[step.call.node.id, kind] = source
        if step.needed:
            found.append(_outlined(step, plan.steps, sources, placed))
    return tuple(found)


def _is(type_: str, kind: str) -> bool:
    return type_ in COMPONENTS and kind_of(type_) == kind


def _loaded(step: Step, disk: Disk) -> Source | None:
    """The model that a step loads."""
    loader = _LOADERS.get(step.call.spec.name)
    if loader is None:
        return None
    method, inputs = loader
    names = [step.call.literals.get(name) for name in inputs]
    if not all(isinstance(name, str) for name in names):
        return None  # another node says which
    try:
        source: Source = getattr(disk.store, method)(*names)
    except OnnxflowError as error:
        raise error.at(step.call.node.ref) from None
    return source


def _outlined(
    step: Step, steps: Sequence[Step], sources: Mapping[tuple[str, str], Source], placed: Places
) -> OutlinedStep:
    call = step.call
    links, types = dict(call.links), {item.name: item.type for item in call.spec.inputs}
    runs: list[Used] = []
    for name, components in run_by(call.spec):
        source = sources.get((links[name].node, kind_of(types[name]))) if name in links else None
        for component in components:
            if source is None or component not in source.manifest.components:
                continue
            wish = placed.of(call.node.id, component)
            variant = wish.variant if wish.variant in source.variants(component) else source.variant_of(component)
            size = source.weight_bytes(component, variant)
            place = "" if wish == ANY else str(wish)
            runs.append(Used(component, variant, source.name, source.root, size, place))
    return OutlinedStep(
        id=call.node.id,
        class_type=call.spec.name,
        title=call.node.title,
        runs=tuple(runs),
        reads=tuple(dict.fromkeys(link.node for _, link in call.links)),
        same=steps[step.twin].call.node.id if step.twin >= 0 else "",
        output=call.spec.output_node,
    )
