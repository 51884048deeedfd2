"""Counting what is right in many pictures, and showing them on one sheet. Needs no PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onnxflow.export.tiny_model.judge import Verdict, judge
from onnxflow.export.tiny_model.landscape_judge import LandscapeVerdict, judge_landscape
from onnxflow.export.tiny_model.landscapes import Landscape
from onnxflow.export.tiny_model.scenes import BACKGROUNDS, RELATIONS, Scene, has_new_pair


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    right: int
    of: int

    def __str__(self) -> str:
        return f"{100 * self.right / self.of:.1f} % of {self.of}" if self.of else "none asked"


def count_right(pictures: NDArray[np.uint8], scenes: list[Scene]) -> dict[str, Share]:
    """Shares of right answers by category."""
    verdicts = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    new = [verdict for verdict, scene in zip(verdicts, scenes, strict=True) if has_new_pair(scene)]
    old = [verdict for verdict, scene in zip(verdicts, scenes, strict=True) if not has_new_pair(scene)]
    shares = {
        name: _share([getattr(verdict, name) for verdict in verdicts]) for name in ("all_right", *Verdict.__slots__)
    }
    for kind in BACKGROUNDS:
        of_kind = [v.all_right for v, s in zip(verdicts, scenes, strict=True) if s.background.kind == kind]
        shares[f"all_right, {kind}"] = _share(of_kind)
    for relation in RELATIONS:
        of_relation = [v.all_right for v, s in zip(verdicts, scenes, strict=True) if s.relation == relation]
        shares[f"all_right, {relation}"] = _share(of_relation)
    return {
        **shares,
        "all_right, new pair": _share([verdict.all_right for verdict in new]),
        "all_right, known pairs": _share([verdict.all_right for verdict in old]),
    }


def count_right_landscapes(pictures: NDArray[np.uint8], landscapes: list[Landscape]) -> dict[str, Share]:
    """Shares of right answers about landscapes by category."""
    verdicts = [judge_landscape(picture, wanted) for picture, wanted in zip(pictures, landscapes, strict=True)]
    return {
        name: _share([getattr(verdict, name) for verdict in verdicts])
        for name in ("all_right", *LandscapeVerdict.__slots__)
    }


def contact_sheet(pictures: NDArray[np.uint8], columns: int, path: Path) -> None:
    """Save pictures as one PNG, row by row with a thin grey gap; the last row is filled up in grey."""
    columns = min(columns, len(pictures))
    framed = np.pad(pictures, ((0, -len(pictures) % columns), (0, 0), (0, 0), (0, 0)), constant_values=128)
    framed = np.pad(framed, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=128)
    rows = [np.concatenate(list(framed[start : start + columns]), 1) for start in range(0, len(framed), columns)]
    Image.fromarray(np.concatenate(rows)).save(path)


def _share(answers: Sequence[bool | None]) -> Share:
    asked = [answer for answer in answers if answer is not None]
    return Share(sum(asked), len(asked))
