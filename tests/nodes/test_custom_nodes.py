"""Loading node packs: what is found, what is left out and why."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fakes import disk_at

from onnxflow.errors import UsageError
from onnxflow.models.disk import Disk
from onnxflow.nodes.catalog import NodeCatalog, builtin_catalog
from onnxflow.nodes.custom_nodes import Pack, load_custom_nodes

GOOD = """
class Fine:
    FUNCTION = "go"
    RETURN_TYPES = ("INT",)
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 3})}}
    def go(self, value):
        return (value,)
"""


def load(folder: Path, **files: str) -> tuple[NodeCatalog, dict[str, Pack]]:
    """The catalog and the packs of a folder with these files; `_in_` in a name is a slash."""
    for name, text in files.items():
        path = folder / (name.replace("_in_", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    catalog, packs = load_custom_nodes([folder], builtin_catalog(), disk_at(folder))
    return catalog, {pack.name: pack for pack in packs}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("import torch", "it imports torch: nodes run without PyTorch here and are given numpy arrays"),
        ("import torch.nn.functional as F",
         "it imports torch.nn: nodes run without PyTorch here and are given numpy arrays"),
        ("from torch import nn", "it imports torch: nodes run without PyTorch here and are given numpy arrays"),
        ("import no_such_module.inside", "it imports no_such_module, which is not installed"),
        ("import comfy.model_management", "it imports comfy.model_management, a part of ComfyUI that is not here"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "ValueError: it has neither NODE_CLASS_MAPPINGS nor comfy_entrypoint"),
        ("async def comfy_entrypoint():\n    raise RuntimeError('not today')", "RuntimeError: not today"),
    ],
)  # fmt: skip
def test_a_pack_that_cannot_be_loaded_is_listed_and_the_rest_works(tmp_path: Path, text: str, problem: str) -> None:
    catalog, packs = load(tmp_path, bad=text, good=f"{GOOD}\nNODE_CLASS_MAPPINGS = {{'Fine': Fine}}")
    assert packs["bad"].problem.startswith(problem) and packs["bad"].classes == ()
    assert packs["bad"].remarks == [f"custom nodes of the pack bad: not available: {packs['bad'].problem}"]
    assert packs["good"].classes == ("Fine",) and "Fine" in catalog
    assert packs["good"].remarks == []


def test_packages_files_and_what_is_passed_over(tmp_path: Path) -> None:
    mappings = "NODE_CLASS_MAPPINGS = {'%s': Fine}\nNODE_DISPLAY_NAME_MAPPINGS = {'%s': 'Fine indeed'}"
    (tmp_path / "notes.txt").write_text("no pack")
    (tmp_path / "folder").mkdir()
    catalog, packs = load(
        tmp_path,
        single=f"{GOOD}\n{mappings % ('Single', 'Single')}",
        pack_in___init__=f"from .inner.classes import Fine\n{mappings % ('Inner', 'Inner')}",
        pack_in_inner_in___init__="",
        pack_in_inner_in_classes=GOOD,
    )
    off = tmp_path / "off.disabled"
    off.mkdir()
    (off / "__init__.py").write_text("1 / 0")
    assert set(packs) == {"single", "pack"}
    assert catalog["Inner"].display_name == "Fine indeed" and catalog["Inner"].module == "custom_nodes.pack"
    assert set(load(tmp_path)[1]) == {"single", "pack"}


def test_a_name_that_is_taken_names_both_owners(tmp_path: Path) -> None:
    catalog, packs = load(
        tmp_path,
        one=f"{GOOD}\nNODE_CLASS_MAPPINGS = {{'Fine': Fine, 'KSampler': Fine}}",
        two=f"{GOOD}\nNODE_CLASS_MAPPINGS = {{'Fine': Fine, 'Other': Fine}}",
    )
    assert packs["one"].classes == ("Fine",) and packs["two"].classes == ("Other",)
    assert packs["one"].remarks == [
        "custom nodes of the pack one: 'KSampler' is left out: onnxflow itself has one of that name"
    ]
    assert packs["two"].remarks == [
        "custom nodes of the pack two: 'Fine' is left out: the pack one has one of that name"
    ]
    assert catalog["KSampler"].module == "onnxflow.nodes"


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        ("object", "it has no INPUT_TYPES"),
        ("type('A', (), {'FUNCTION': 'go', 'INPUT_TYPES': lambda: {}})", "it has no INPUT_TYPES, or no FUNCTION"),
        ("type('A', (), {'FUNCTION': 'go', 'go': print, 'INPUT_TYPES': lambda: 3})", "INPUT_TYPES gives 3"),
        ("type('A', (), {'FUNCTION': 'go', 'go': print, 'INPUT_TYPES': lambda: {'required': {'a': 5}}})",
         "the input 'a' is 5, expected (type, options)"),
        ("type('A', (), {'FUNCTION': 'go', 'go': print, 'INPUT_TYPES': lambda: 1 / 0})", "division by zero"),
        ("type('A', (), {'FUNCTION': 'go', 'go': print, 'INPUT_TYPES': lambda: {}, 'RETURN_TYPES': (7,)})",
         "7 is no type"),
    ],
)  # fmt: skip
def test_a_class_that_is_none_is_left_out(tmp_path: Path, cls: str, said: str) -> None:
    _, packs = load(tmp_path, bad=f"{GOOD}\nNODE_CLASS_MAPPINGS = {{'Bad': {cls}, 'Fine': Fine}}")
    (reason,) = packs["bad"].refused
    assert reason.startswith("'Bad' is left out: ") and said in reason
    assert packs["bad"].classes == ("Fine",)


def test_stand_ins_are_there_while_packs_load_and_not_afterwards(tmp_path: Path) -> None:
    text = """
import folder_paths
from comfy.comfy_types import IO, ComfyNodeABC, InputTypeDict
from comfy.comfy_types.node_typing import IO as SAME
from comfy_execution.graph import ExecutionBlocker
from comfy_execution.graph_utils import GraphBuilder, is_link
assert IO.ANY == "*" and IO.IMAGE == "IMAGE" and SAME is IO
print(folder_paths.get_input_directory(), folder_paths.get_filename_list("checkpoints"))
NODE_CLASS_MAPPINGS = {}
"""
    _, packs = load(tmp_path, pack=text)
    assert packs["pack"].problem == ""
    assert {"folder_paths", "comfy", "comfy_execution.graph", "torch"}.isdisjoint(sys.modules)


def test_what_a_pack_prints_is_no_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path, pack="print('here I am')\nNODE_CLASS_MAPPINGS = {}")
    assert capsys.readouterr() == ("", "here I am\n")


def test_files_are_found_and_saved_where_the_run_has_them(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "a.txt").write_text("a")
    (tmp_path / "models" / "loras").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "one.safetensors").write_text("no model")
    text = """
import os
import folder_paths as f
assert open(f.get_annotated_filepath("a.txt")).read() == "a"
assert f.exists_annotated_filepath("a.txt") and not f.exists_annotated_filepath("b.txt")
folder, name, counter, subfolder, prefix = f.get_save_image_path("sub/%width%", f.get_output_directory(), 12, 8)
assert (name, counter, subfolder, prefix) == ("12", 1, "sub", "sub/%width%") and os.path.isdir(folder)
assert f.get_filename_list("nonsense") == [] and f.get_full_path("loras", "none") is None
assert f.get_full_path("loras", "one.safetensors").endswith("one.safetensors")
for outside in ("../../input/a.txt", os.path.abspath(f.get_annotated_filepath("a.txt")), "", "C:/a.txt", "a\\0"):
    assert f.get_full_path("loras", outside) is None, outside
try:
    f.get_full_path_or_raise("loras", "none")
except FileNotFoundError:
    NODE_CLASS_MAPPINGS = {}
"""
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "pack.py").write_text(text)
    disk: Disk = disk_at(tmp_path, tmp_path / "models")
    _, (pack,) = load_custom_nodes([tmp_path / "packs"], builtin_catalog(), disk)
    assert pack.problem == ""


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_custom_nodes([tmp_path / "none"], builtin_catalog(), disk_at(tmp_path))
