"""Prompts: CLIPTextEncode and its kin for SDXL, and CLIPSetLastLayer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Final

from onnxflow.errors import InputError, ModelError
from onnxflow.models.bundle import Bundle
from onnxflow.models.disk import Disk
from onnxflow.models.manifest import TokenizerFiles
from onnxflow.models.pipeline.tokenizer import read_one_file
from onnxflow.models.source import Source
from onnxflow.nodes.context import Context
from onnxflow.nodes.embeddings import EmbeddingsOf, fingerprint_of_prompts, prompt_problem
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Float, Int, String
from onnxflow.text.chunks import Chunk, ChunkShape, empty_chunk
from onnxflow.text.clip import clip_tokenizer
from onnxflow.text.encode import TextModel, encode_chunks, joined, prompt_chunks, reading_of
from onnxflow.text.last_layer import LastLayer, layer_of
from onnxflow.text.tokenizer import Tokenizer, read_tokenizer, tokenizer_of
from onnxflow.values import Clip, Cond, Conditioning

Prompt = Annotated[str, String(multiline=True, dynamic_prompts=True)]
Layer = Annotated[int, Int(min=-24, max=-1, step=1)]
Side = Annotated[int, Int(min=0, max=16384)]
Score = Annotated[float, Float(min=0.0, max=1000.0, step=0.01)]

ENCODERS: Final = ("text_encoder", "text_encoder_2")


def _validate(disk: Disk, text: str | None = None) -> str | None:
    return prompt_problem(disk, text)


def _validate_two(disk: Disk, text_g: str | None = None, text_l: str | None = None) -> str | None:
    return prompt_problem(disk, text_g) or prompt_problem(disk, text_l)


def _fingerprint(disk: Disk, text: str | None = None) -> str:
    return fingerprint_of_prompts(disk, (text,))


def _fingerprint_two(disk: Disk, text_g: str | None = None, text_l: str | None = None) -> str:
    return fingerprint_of_prompts(disk, (text_g, text_l))


@node(
    "CLIPTextEncode",
    category="conditioning",
    display_name="CLIP Text Encode (Prompt)",
    runs=ENCODERS,
    validate=_validate,
    fingerprint=_fingerprint,
)
def clip_text_encode(ctx: Context, text: Prompt, clip: Clip) -> Conditioning:
    """The prompt as the text encoder sees it: [1, 77 a chunk, width], with weights, and pooled [1, width]."""
    return _encode(ctx, clip, dict.fromkeys(clip.source.manifest.texts, text))


@node(
    "CLIPTextEncodeSDXL",
    category="advanced/conditioning",
    runs=ENCODERS,
    validate=_validate_two,
    fingerprint=_fingerprint_two,
)
def clip_text_encode_sdxl(
    ctx: Context,
    *,
    clip: Clip,
    width: Side = 1024,
    height: Side = 1024,
    crop_w: Side = 0,
    crop_h: Side = 0,
    target_width: Side = 1024,
    target_height: Side = 1024,
    text_g: Prompt,
    text_l: Prompt,
) -> Conditioning:
    """A prompt for each of SDXL's two text encoders, with what its network is told of the picture, in pixels: the size
    it is taken from, what was cropped, and the size that is wanted. InputError for the CLIP of another family."""
    if tuple(clip.source.manifest.texts) != ENCODERS:
        raise InputError(
            f"the CLIP of {clip.source.name} has {_count(len(clip.source.manifest.texts))}, this node encodes for"
            " SDXL's two",
            hint="connect the CLIP of an SDXL checkpoint, or use CLIPTextEncode",
        )
    found = _encode(ctx, clip, {"text_encoder": text_l, "text_encoder_2": text_g})
    sizes = {"width": width, "height": height, "crop_w": crop_w, "crop_h": crop_h}
    return _told(found, {**sizes, "target_width": target_width, "target_height": target_height})


@node(
    "CLIPTextEncodeSDXLRefiner",
    category="advanced/conditioning",
    runs=ENCODERS,
    validate=_validate,
    fingerprint=_fingerprint,
)
def clip_text_encode_sdxl_refiner(
    ctx: Context, *, ascore: Score = 6.0, width: Side = 1024, height: Side = 1024, text: Prompt, clip: Clip
) -> Conditioning:
    """The prompt with what SDXL's refiner is told of the picture: an aesthetic score and the size in pixels."""
    found = _encode(ctx, clip, dict.fromkeys(clip.source.manifest.texts, text))
    return _told(found, {"aesthetic_score": ascore, "width": width, "height": height})


@node(
    "CLIPTextEncodeControlnet",
    category="_for_testing/conditioning",
    experimental=True,
    runs=ENCODERS,
    validate=_validate,
    fingerprint=_fingerprint,
)
def clip_text_encode_controlnet(ctx: Context, *, clip: Clip, conditioning: Conditioning, text: Prompt) -> Conditioning:
    """The conditions with a prompt of its own for the ControlNets on them."""
    (own,) = _encode(ctx, clip, dict.fromkeys(clip.source.manifest.texts, text)).entries
    return _told(conditioning, {"cross_attn_controlnet": own.cross_attn, "pooled_output_controlnet": own.pooled})


@node("CLIPSetLastLayer", category="conditioning", display_name="CLIP Set Last Layer", runs=())
def clip_set_last_layer(clip: Clip, stop_at_clip_layer: Layer = -1) -> Clip:
    """The text encoder read at another layer, counted from the end ("clip skip" 2 is -2); the pooled output stays."""
    return replace(clip, patches=(*clip.patches, LastLayer(stop_at_clip_layer)))


def _encode(ctx: Context, clip: Clip, texts: dict[str, str]) -> Conditioning:
    """The condition of a text for each encoder; where their chunks differ in number, empty ones are added."""
    models = {
        component: replace(text_model(clip.source, component), embeddings=EmbeddingsOf.of(ctx.disk, clip, component))
        for component in texts
    }
    chunks = {component: prompt_chunks(text, models[component]) for component, text in texts.items()}
    most = max(map(len, chunks.values())) if len(set(texts.values())) > 1 else 0
    layer = layer_of(clip.patches)
    return joined(
        [
            encode_chunks(_filled(chunks[component], most, model), model, ctx.session(clip, component), layer=layer)
            for component, model in models.items()
        ]
    )


def _filled(chunks: Sequence[Chunk], count: int, model: TextModel) -> Sequence[Chunk]:
    return [*chunks, *[empty_chunk(model.shape)] * (count - len(chunks))]


def _told(conditioning: Conditioning, options: dict[str, Any]) -> Conditioning:
    """The conditions with some options more, or others."""
    entries = (Cond(c.cross_attn, c.pooled, MappingProxyType({**c.extras, **options})) for c in conditioning.entries)
    return Conditioning(tuple(entries))


def _count(encoders: int) -> str:
    return "one text encoder" if encoders == 1 else f"{encoders} text encoders"


@lru_cache(maxsize=4)
def text_model(source: Source, component: str = "text_encoder") -> TextModel:
    """Tokenizer, memory-mapped token table if it needs one, chunk shape and reading of one of a model's text encoders;
    ModelError when they do not fit together."""
    text = source.text(component)
    tokenizer = _tokenizer(source, text.tokenizer)
    if (tokenizer.start, tokenizer.end) != (text.bos, text.eos):
        raise ModelError(
            f"the manifest says that texts start with token {text.bos} and end with {text.eos}, the tokenizer has"
            f" {tokenizer.start} and {tokenizer.end}",
            where=str(source.root),
            hint="export the model again",
        )
    table = source.token_table(component)
    shape = ChunkShape(start=text.bos, end=text.eos, pad=text.pad, length=text.length)
    return TextModel(tokenizer, table, shape, reading_of(source.manifest.family, component, text.skipped))


def _tokenizer(source: Source, files: TokenizerFiles | None) -> Tokenizer:
    if files is None:
        return clip_tokenizer()
    path = source.path if isinstance(source, Bundle) else source.root.joinpath
    vocabulary, merges = path(files.vocab), path(files.merges)
    if vocabulary == merges:
        return tokenizer_of(*read_one_file(vocabulary), vocabulary, lowercase=files.lowercase)
    return read_tokenizer(vocabulary, merges, lowercase=files.lowercase)
