"""Prompts in A1111's syntax: the tags taken out, embeddings named as ComfyUI names them, the rest said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import Problem, shown
from onnxflow.workflow.a1111_fields import read_number

_TAG: Final = re.compile(r"<(\w{1,40}):([^<>\n]{1,1000})>")
_LORA_TAGS: Final = ("lora", "lyco")
_BREAK: Final = re.compile(r"\bBREAK\b")
_AND: Final = re.compile(r"\bAND\b")
_BRACKET: Final = re.compile(r"(?<!\\)\[([^\[\]]*)")
_MOST_EMBEDDINGS: Final = 100
_STRENGTH: Final = 100.0


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA's name, without a suffix, and its strengths."""

    name: str
    model: float
    clip: float


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt for CLIPTextEncode, what its tags asked for, what was lost, and what is wrong with it."""

    text: str
    loras: tuple[Lora, ...]
    remarks: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_prompt(text: str, embeddings: Iterable[str] = (), *, tags: bool = True) -> Prompt:
    """A prompt as A1111 reads it, where ``embeddings`` are the names that stand for textual inversions.

    A1111 takes ``tags`` out of the prompt only: in the negative prompt they are letters, as here.
    """
    loras: list[Lora] = []
    remarks: list[str] = []
    problems: list[Problem] = []
    if tags:
        for kind, rest in _TAG.findall(text):
            if kind not in _LORA_TAGS:
                remarks.append(f"the tag {shown(f'<{kind}:{rest}>', 80)}")
                continue
            lora = _lora(rest, remarks)
            if isinstance(lora, Problem):
                problems.append(lora)
            else:
                loras.append(lora)
        text = _TAG.sub("", text)
    elif _TAG.search(text):
        remarks.append("tags in the negative prompt: A1111 reads them as letters, and so does this graph")
    remarks += _lost(text)
    if _BREAK.search(text):
        text = ", ".join(filter(None, (piece.strip(" \t\n,") for piece in _BREAK.split(text))))
    names = [re.escape(name) for name in embeddings if name][:_MOST_EMBEDDINGS]
    if names:
        text = re.sub(rf"(?<!embedding:)(?<![\w/\\-])(?:{'|'.join(names)})(?![\w-])", _named, text, flags=re.IGNORECASE)
    return Prompt(text.strip(), tuple(loras), tuple(remarks), tuple(problems))


def _lora(rest: str, remarks: list[str]) -> Lora | Problem:
    """``name:clip:model``, ``name:weight``, ``name``, with ``te=`` and ``unet=`` for the strengths by name."""
    name, *arguments = [part.strip() for part in rest.split(":")]
    given: dict[str, float] = {}
    for place, argument in enumerate(arguments):
        key, equals, value = argument.rpartition("=")
        key = key if equals else {0: "te", 1: "unet"}.get(place, "")
        if key not in ("te", "unet"):
            remarks.append(f"{shown(argument, 60)} of the LoRA {shown(name, 80)}")
            continue
        number = read_number(value)
        if number is None or abs(number) > _STRENGTH:
            return Problem(
                "invalid_input_type",
                f"The strength of a LoRA is not a number from {-_STRENGTH:g} to {_STRENGTH:g}",
                shown(f"<lora:{rest}>"),
                hint="A1111 writes <lora:name:0.8>",
            )
        given[key] = number
    clip = given.get("te", 1.0)
    return Lora(name, given.get("unet", clip), clip)


def _lost(text: str) -> list[str]:
    """What ComfyUI reads otherwise than A1111."""
    found = []
    if _BREAK.search(text):
        found.append("BREAK: the prompt is cut into chunks where its length asks for it")
    if _AND.search(text):
        found.append("AND: the prompts that it joins are read as one")
    brackets = _BRACKET.findall(text)
    if any(":" in inside or "|" in inside for inside in brackets):
        found.append("prompts that change between steps, [a:b:0.5] or [a|b]: ComfyUI reads them as letters")
    elif brackets:
        found.append("square brackets for less weight: ComfyUI reads them as letters")
    return found


def _named(match: re.Match[str]) -> str:
    """``embedding:name`` with the spaces around it by which ComfyUI knows it."""
    before, after = match.string[max(0, match.start() - 1) : match.start()], match.string[match.end() : match.end() + 1]
    return ("" if before in " \n(" else " ") + f"embedding:{match[0]}" + ("" if after in " \n:)" else " ")
