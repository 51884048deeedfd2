"""What an export takes is known before it begins, and refused when there is no room for it."""

# ruff: noqa: E402
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from diffusers import UNet2DConditionModel
from families import KINDS, unet_shape, write_file, write_folder

from onnxflow.errors import MemoryLimitError, OutputError
from onnxflow.export import room
from onnxflow.export.bundle import export_bundle
from onnxflow.export.estimate import Estimate, estimate
from onnxflow.export.open_source import open_source
from onnxflow.export.room import check_room, free_disk
from onnxflow.export.single_file import unet_config
from onnxflow.export.source import parts
from onnxflow.export.steps import plan
from onnxflow.memory import Memory

GB = 10**9


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_shapes_are_those_of_the_networks(tmp_path: Path, kind: str) -> None:
    folder = write_folder(KINDS[kind], tmp_path / "model")
    for source in (open_source(folder), open_source(write_file(folder, tmp_path / "model.safetensors"))):
        for part in parts(source.facts):
            shapes = sorted(tuple(value.shape) for value in source.network(part).parameters())
            assert sorted(source.shapes(part).values()) == shapes


@pytest.mark.parametrize(
    ("precisions", "storage"), [(["fp32"], "fp32"), (["fp32"], "fp16"), (["fp16", "int8"], "fp32")]
)
def test_a_bundle_takes_no_less_than_was_said_and_little_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precisions: list[str], storage: str
) -> None:
    monkeypatch.setattr("onnxflow.export.bundle.compare", lambda *given: (0.0, 0.1))  # the time is in the calls
    source = open_source(write_folder(KINDS["sd1"], tmp_path / "model"))
    steps = plan(parts(source.facts), source.facts.family, precisions, storage)
    needs = estimate({part: source.shapes(part) for part in parts(source.facts)}, steps, storage)
    export_bundle(tmp_path / "model", tmp_path / "bundle", precisions=precisions, storage=storage)
    taken = sum(path.stat().st_size for path in (tmp_path / "bundle").rglob("*") if path.is_file())
    assert needs.least <= taken <= needs.disk


def needing(disk: int, memory: int) -> Estimate:
    return Estimate(disk, disk + 1, memory, {}, {}, {})


def checked(monkeypatch: pytest.MonkeyPatch, needs: Estimate, free: int, memory: Memory | None, **given: object) -> str:
    lines: list[str] = []
    monkeypatch.setattr(room, "free_disk", lambda path: free)
    monkeypatch.setattr(room, "free_memory", lambda: memory)
    check_room(needs, Path("bundle"), **{"left": 0, "force": False, "report": lines.append, **given})
    return "\n".join(lines)


def test_what_it_takes_and_what_is_free_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    said = checked(monkeypatch, needing(2 * GB, 3 * GB), 5 * GB, Memory(4 * GB, 0))
    assert said == "takes about 2.0 GB on the disk (5.0 GB are free) and 3.0 GB of memory at most, 4.0 GB are free"
    assert checked(monkeypatch, needing(2 * GB, 3 * GB), 5 * GB, None).endswith("and 3.0 GB of memory at most")


def test_too_small_a_disk_is_refused_and_what_is_there_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for force in (False, True):
        with pytest.raises(OutputError, match=r"takes at least 2\.0 GB, the disk has 1\.0 GB free") as caught:
            checked(monkeypatch, needing(2 * GB, 1), GB, None, force=force)
        assert "--storage fp16" in caught.value.hint
    assert "1.2 GB are there" in checked(monkeypatch, needing(2 * GB, 1), GB, None, left=12 * GB // 10)


def test_too_little_memory_is_refused_unless_forced_and_swap_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = needing(1, 3 * GB)
    with pytest.raises(MemoryLimitError, match=r"about 3\.0 GB of memory, 2\.0 GB are free, swap 500\.0 MB") as caught:
        checked(monkeypatch, needs, GB, Memory(2 * GB, GB // 2))
    assert "--force" in caught.value.hint
    for memory, given in ((Memory(2 * GB, 0), {"force": True}), (Memory(2 * GB, 2 * GB), {})):
        assert "warning: there is less memory" in checked(monkeypatch, needs, GB, memory, **given)


def test_a_refusal_leaves_the_disk_as_it_was(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr("onnxflow.export.bundle._write_step", stop)
        with pytest.raises(KeyboardInterrupt):
            export_bundle(random_model, tmp_path / "new" / "bundle")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    for bundle in (tmp_path / "new" / "bundle", tmp_path / "other" / "bundle"):
        with pytest.raises(OutputError, match=r"the disk has 0\.0 MB free"):
            export_bundle(random_model, bundle, resume=True)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")],
)
def test_memory_that_ends_on_the_way_is_said_and_gone_on_from(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*given: object) -> None:
        raise error

    with monkeypatch.context() as failing:
        failing.setattr("onnxflow.export.bundle.compare", fail)
        with pytest.raises(MemoryLimitError, match="not enough memory left for checking text_encoder, fp32"):
            export_bundle(random_model, tmp_path / "bundle")
    monkeypatch.setattr("onnxflow.export.bundle.compare", lambda *given: (0.0, 0.1))
    lines: list[str] = []
    export_bundle(random_model, tmp_path / "bundle", resume=True, report=lines.append)
    assert "goes on: 3 steps are done" in lines


def test_free_space_is_asked_where_the_bundle_will_be(tmp_path: Path) -> None:
    assert abs(free_disk(tmp_path / "not" / "there") - shutil.disk_usage(tmp_path).free) < GB


CHILD = """
import resource, sys
from pathlib import Path
from onnxflow.export.bundle import export_bundle
source, bundle, storage, *precisions = sys.argv[1:]
lines = []
export_bundle(Path(source), Path(bundle), storage=storage, precisions=precisions, report=lines.append)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("", ("fp32", "fp32")),
        ("", ("fp32", "int8")),
        ("", ("fp32", "fp32", "fp16", "int8")),
        (".safetensors", ("fp16", "fp32")),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in other units elsewhere")
def test_memory_stays_below_the_estimate(
    wide_model: Path, tmp_path: Path, suffix: str, options: tuple[str, ...]
) -> None:
    path = wide_model.with_suffix(suffix)
    source = open_source(path)
    steps = plan(parts(source.facts), "sd1", options[1:], options[0])
    needs = estimate({part: source.shapes(part) for part in parts(source.facts)}, steps, options[0])
    command = [sys.executable, "-P", "-c", CHILD, str(path), str(tmp_path / "bundle"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.6 * needs.memory < int(done.stdout) < needs.memory


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A denoiser of 198 million weights, 793 MB, by far the largest network."""
    folder = write_folder(KINDS["sd1"], tmp_path_factory.mktemp("wide") / "model")
    shape = replace(unet_shape(KINDS["sd1"]), channels=(512, 1024))
    UNet2DConditionModel(**unet_config(shape, "sd1")).save_pretrained(folder / "unet")
    write_file(folder, folder.with_suffix(".safetensors"))
    return folder
