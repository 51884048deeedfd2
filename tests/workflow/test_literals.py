"""Values typed into a node, beyond what test_check.py covers."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import disk_at, workflow

from onnxflow.errors import WorkflowError
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.workflow.check import check

CATALOG = builtin_catalog()


def refusal(tmp_path: Path, **sampler: object) -> WorkflowError:
    inputs = {
        "seed": 1, "steps": 20, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        "model": ("1", 0), "positive": ("2", 0), "negative": ("2", 0), "latent_image": ("3", 0), **sampler,
    }  # fmt: skip
    nodes = workflow(
        **{
            "1": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
            "2": ("CLIPTextEncode", {"text": "", "clip": ("1", 1)}),
            "3": ("EmptyLatentImage", {"width": 128, "height": 128, "batch_size": 1}),
            "4": ("KSampler", inputs),
            "5": ("SaveLatent", {"samples": ("4", 0), "filename_prefix": "x"}),
        }
    )
    with pytest.raises(WorkflowError) as caught:
        check(nodes, CATALOG, disk_at(tmp_path))
    return caught.value


def test_a_sampler_that_nobody_has(tmp_path: Path) -> None:
    (problem,) = refusal(tmp_path, sampler_name="eular").problems
    assert problem.code == "value_not_in_list"
    assert problem.details == "sampler_name: 'eular' not in (list of length 42)"
    assert problem.hint.startswith("did you mean 'euler'")
    assert problem.extra["input_config"] is None


def test_files_are_judged_by_the_nodes_own_check_alone(tmp_path: Path) -> None:
    for name in ("sub/there.png", "there.png [output]"):
        nodes = workflow(l=("LoadImage", {"image": name}), p=("PreviewImage", {"images": ("l", 0)}))
        with pytest.raises(WorkflowError) as caught:
            check(nodes, CATALOG, disk_at(tmp_path))
        assert [problem.code for problem in caught.value.problems] == ["custom_validation_failed"]
    (tmp_path / "input" / "sub").mkdir(parents=True)
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "input" / "sub" / "there.png")
    nodes = workflow(l=("LoadImage", {"image": "sub/there.png"}), p=("PreviewImage", {"images": ("l", 0)}))
    assert check(nodes, CATALOG, disk_at(tmp_path)).outputs == ("p",)
