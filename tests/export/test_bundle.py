# ruff: noqa: E402
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from onnxflow.cancel import CancelToken
from onnxflow.engine.verify import check_files, verdicts
from onnxflow.errors import MemoryLimitError, ModelError, OutputError, UsageError
from onnxflow.export import bundle as exporting
from onnxflow.export.bundle import export_bundle
from onnxflow.export.work_folder import WorkFolder
from onnxflow.models.bundle import open_bundle


@pytest.fixture
def model(random_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(random_model, tmp_path / "model"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(one: Path, other: Path) -> bool:
    """Whether two bundles are equal byte for byte, but for the seconds in their manifests."""
    contents = [files(folder) for folder in (one, other)]
    for content in contents:
        content["onnxflow.json"] = re.sub(rb'"(seconds|verdict)": [^\n]*', b"", content["onnxflow.json"])
    return contents[0] == contents[1]


def test_a_bundle_is_what_the_runtime_opens(model: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    export_bundle(model, tmp_path / "bundle", storage="fp16", report=lines.append)
    bundle = open_bundle(tmp_path / "bundle")
    assert set(bundle.manifest.components) == {"text_encoder", "unet", "vae_encoder", "vae_decoder"}
    assert bundle.latent.scale == 0.18215
    assert (bundle.manifest.width, bundle.manifest.height) == (128, 128)
    assert (bundle.text().hidden, bundle.text().layers, bundle.text().vocab, bundle.text().length) == (16, 2, 514, 77)
    assert (bundle.text().bos, bundle.text().eos, bundle.text().pad) == (512, 513, 513)
    table = np.load(bundle.path(bundle.text().token_embedding))
    assert table.shape == (514, 16)
    assert table.dtype == np.float16
    for name, record in bundle.manifest.files.items():
        assert hashlib.sha256((bundle.root / name).read_bytes()).hexdigest() == record.sha256
    assert set(bundle.manifest.files) == set(files(bundle.root)) - {"onnxflow.json"}
    assert any("unet" in line for line in lines)


def test_errors_against_torch_are_recorded(model: Path, tmp_path: Path) -> None:
    export_bundle(model, tmp_path / "bundle")
    manifest = json.loads((tmp_path / "bundle" / "onnxflow.json").read_text())
    for component in manifest["components"].values():
        assert set(component["variants"]) == {"fp32"}  # int8 only where it is asked for
        variant = component["variants"]["fp32"]
        assert 0 < variant["relative_error"] < 1e-5
        assert variant["allowed_error"] == 1e-4
        assert variant["seconds"] > 0
        assert (variant["storage"], variant["verdict"]) == ("fp32", "ok")
        assert variant["size"] == (tmp_path / "bundle" / variant["file"]).stat().st_size
    assert re.fullmatch("[0-9a-f]{64}", manifest["source"])


def test_the_same_model_gives_the_same_bytes(model: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    export_bundle(model, tmp_path / "one", storage="fp16")
    torch.manual_seed(2)
    export_bundle(model, tmp_path / "two", storage="fp16")
    assert same(tmp_path / "one", tmp_path / "two")


def test_a_failed_export_leaves_nothing_and_keeps_the_old_bundle(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_bundle(model, tmp_path / "bundle")
    before = files(tmp_path / "bundle")
    monkeypatch.setattr(exporting, "compare", lambda *given: (0.5, 0.1))
    with pytest.raises(ModelError, match="differs from torch by 5"):
        export_bundle(model, tmp_path / "bundle")
    with pytest.raises(ModelError):
        export_bundle(model, tmp_path / "new")
    assert files(tmp_path / "bundle") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model"]


def test_a_nan_difference_to_torch_is_a_failure(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "compare", lambda *given: (float("nan"), 0.1))
    with pytest.raises(ModelError, match="differs from torch"):
        export_bundle(model, tmp_path / "bundle")


def test_an_older_bundle_is_replaced_and_anything_else_is_not(model: Path, tmp_path: Path) -> None:
    export_bundle(model, tmp_path / "bundle")
    export_bundle(model, tmp_path / "bundle", storage="fp16")
    assert (
        json.loads((tmp_path / "bundle" / "onnxflow.json").read_text())["components"]["unet"]["variants"]["fp32"][
            "storage"
        ]
        == "fp16"
    )
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    with pytest.raises(OutputError, match="something else"):
        export_bundle(model, tmp_path / "photos")
    with pytest.raises(UsageError, match="into the model itself"):
        export_bundle(model, model / "bundle")


@pytest.mark.parametrize(("option", "value"), [("precisions", ["fp8"]), ("storage", "int4")])
def test_unknown_options_are_refused(model: Path, tmp_path: Path, option: str, value: object) -> None:
    with pytest.raises(UsageError, match=r"fp8|int4"):
        export_bundle(model, tmp_path / "bundle", **{option: value})


def empty(model: Path) -> None:
    shutil.rmtree(model)
    model.mkdir()


def without_unet(model: Path) -> None:
    shutil.rmtree(model / "unet")


def without_unet_weights(model: Path) -> None:
    (model / "unet" / "diffusion_pytorch_model.safetensors").unlink()


def index_not_json(model: Path) -> None:
    (model / "model_index.json").write_text("{")


def index_a_list(model: Path) -> None:
    (model / "model_index.json").write_text("[]")


def another_family(model: Path) -> None:
    (model / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')


def few_tokens(model: Path) -> None:
    (model / "tokenizer" / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')


def no_end_token(model: Path) -> None:
    vocabulary = json.loads((model / "tokenizer" / "vocab.json").read_text())
    vocabulary["other"] = vocabulary.pop("<|endoftext|>")
    (model / "tokenizer" / "vocab.json").write_text(json.dumps(vocabulary))


def no_merges(model: Path) -> None:
    (model / "tokenizer" / "merges.txt").unlink()


def odd_merges(model: Path) -> None:
    (model / "tokenizer" / "merges.txt").write_text("#version: 0.2\na b c\n")


def truncated_weights(model: Path) -> None:
    path = model / "vae" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def change_weights(path: Path, change: Callable[[dict[str, "torch.Tensor"]], None]) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def nan_weight(model: Path) -> None:
    change_weights(
        model / "unet" / "diffusion_pytorch_model.safetensors",
        lambda w: w["conv_in.weight"].view(-1)[3:4].fill_(torch.nan),
    )


def lost_weight(model: Path) -> None:
    change_weights(model / "text_encoder" / "model.safetensors", lambda w: w.pop(sorted(w)[0]))


def lost_unet_weight(model: Path) -> None:
    change_weights(model / "unet" / "diffusion_pytorch_model.safetensors", lambda w: w.pop("conv_in.weight"))


def unknown_prediction(model: Path) -> None:
    (model / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "sample"}')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (empty, "cannot read model_index.json"),
        (without_unet, "no unet/"),
        (without_unet_weights, "the model has no weights in unet"),
        (index_not_json, "not JSON"),
        (index_a_list, "not an object"),
        (another_family, "StableDiffusion3Pipeline"),
        (few_tokens, "has 2 tokens, the text encoder 514"),
        (no_end_token, "no token '<|endoftext|>'"),
        (no_merges, "cannot read merges.txt"),
        (odd_merges, "'a b c'"),
        (truncated_weights, "vae cannot be loaded"),
        (nan_weight, "1 values of conv_in.weight are not numbers"),
        (lost_weight, "text_encoder lacks 1 of its weights"),
        (lost_unet_weight, "unet lacks 1 of its weights, first conv_in.weight"),
        (unknown_prediction, "'sample'"),
    ],
)
def test_a_source_that_is_no_model_is_one_clear_error(
    model: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(model)
    with pytest.raises(ModelError) as caught:
        export_bundle(model, tmp_path / "bundle")
    assert message in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_source_that_is_a_file_or_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"x")
    for source, message in ((tmp_path / "model", r"no \.safetensors"), (tmp_path / "nothing", "nothing here")):
        with pytest.raises(ModelError, match=message):
            export_bundle(source, tmp_path / "bundle")


def test_weights_too_large_for_half_precision_need_fp32(model: Path, tmp_path: Path) -> None:
    change_weights(model / "unet" / "diffusion_pytorch_model.safetensors", lambda w: w["conv_in.bias"][:1].fill_(1e6))
    with pytest.raises(ModelError, match=r"conv_in.bias has values beyond"):
        export_bundle(model, tmp_path / "bundle", storage="fp16")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_tokenizer_in_one_file_is_read_too(model: Path, tmp_path: Path) -> None:
    tokenizer = model / "tokenizer"
    vocabulary = json.loads((tokenizer / "vocab.json").read_text())
    (tokenizer / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary, "merges": [["a", "t</w>"]]}}))
    (tokenizer / "vocab.json").unlink()
    (tokenizer / "merges.txt").unlink()
    export_bundle(model, tmp_path / "bundle")
    assert json.loads((tmp_path / "bundle" / "tokenizer" / "vocab.json").read_text()) == vocabulary
    assert (tmp_path / "bundle" / "tokenizer" / "merges.txt").read_text() == "#version: 0.2\na t</w>\n"


def test_with_force_a_graph_that_differs_is_written_and_says_so(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "compare", lambda *given: (float("inf"), 0.1))
    made = export_bundle(model, tmp_path / "bundle", force=True)
    assert not any(one.right for one in made)
    variant = open_bundle(tmp_path / "bundle").manifest.components["unet"].variants["fp32"]
    assert variant.error == 1e9
    manifest = json.loads((tmp_path / "bundle" / "onnxflow.json").read_text())
    assert "differs from torch" in manifest["components"]["unet"]["variants"]["fp32"]["verdict"]


def test_an_export_goes_on_where_it_was_stopped(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"precisions": ["fp32", "fp16", "int8"]}
    export_bundle(model, tmp_path / "whole", **options)
    steps: list[str] = []
    limit = {"steps": 0}
    write = exporting._write_step

    def stopping(step, *others):
        if len(steps) == limit["steps"]:
            raise KeyboardInterrupt
        steps.append(step.name)
        write(step, *others)

    monkeypatch.setattr(exporting, "_write_step", stopping)
    for limit["steps"] in (2, 5, 7):
        with pytest.raises(KeyboardInterrupt):
            export_bundle(model, tmp_path / "bundle", resume=True, **options)
        assert not (tmp_path / "bundle").exists()
    limit["steps"] = -1
    lines: list[str] = []
    export_bundle(model, tmp_path / "bundle", resume=True, report=lines.append, **options)
    assert len(steps) == len(set(steps)) == 10  # no graph was made twice
    assert any(line.startswith("goes on: ") for line in lines)
    assert same(tmp_path / "whole", tmp_path / "bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model", "whole"]


def test_what_was_left_of_another_export_is_not_gone_on_with(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(exporting, "_write_step", stop)
        with pytest.raises(KeyboardInterrupt):
            export_bundle(model, tmp_path / "bundle")
    with pytest.raises(UsageError, match="of another source, or with other options"):
        export_bundle(model, tmp_path / "bundle", storage="fp16", resume=True)
    export_bundle(model, tmp_path / "bundle", storage="fp16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "model"]


def test_a_journal_torn_by_a_kill_loses_its_last_step_only(tmp_path: Path) -> None:
    work = WorkFolder(tmp_path / "bundle", {"a": 1}, resume=False, report=print)
    for name in ("one", "two"):
        (work.files / name).write_text(name)
        work.finish(name, [name], error=0.5)
    journal = tmp_path / ".bundle.part" / "journal.jsonl"
    journal.write_text(journal.read_text()[:-10])
    again = WorkFolder(tmp_path / "bundle", {"a": 1}, resume=True, report=print)
    assert again.done("one") == work.done("one")
    assert again.done("two") is None
    again.finish("two", ["two"])
    (work.files / "one").write_text("eno")  # as long as before
    last = WorkFolder(tmp_path / "bundle", {"a": 1}, resume=True, report=print)
    assert last.done("one") is None  # its file is not what it was
    assert last.done("two") is not None
    last.remove()
    assert not list(tmp_path.iterdir())


def test_an_older_bundle_that_was_moved_aside_comes_back(model: Path, tmp_path: Path) -> None:
    export_bundle(model, tmp_path / "bundle")
    before = files(tmp_path / "bundle")
    (tmp_path / "bundle").rename(tmp_path / ".bundle.old")  # killed between the two renamings at the end
    with pytest.raises(ModelError):
        export_bundle(tmp_path / "nothing", tmp_path / "bundle")
    assert files(tmp_path / "bundle") == before


def test_altered_and_missing_files_are_named(model: Path, tmp_path: Path) -> None:
    export_bundle(model, tmp_path / "bundle")
    bundle = open_bundle(tmp_path / "bundle")
    check_files(bundle)
    assert [(verdict.component, verdict.right) for verdict in verdicts(bundle, CancelToken())] == [
        (name, True) for name in bundle.manifest.components
    ]
    path = tmp_path / "bundle" / "unet" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"the model's unet/model\.onnx was altered"):
        check_files(open_bundle(tmp_path / "bundle"))


def test_memory_that_ends_while_a_network_is_read_loses_nothing(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(*given: object, **others: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    with monkeypatch.context() as short:
        short.setattr(UNet2DConditionModel, "from_pretrained", ending)
        with pytest.raises(MemoryLimitError) as raised:
            export_bundle(model, tmp_path / "bundle")
    assert "--resume" in raised.value.hint
    lines: list[str] = []
    export_bundle(model, tmp_path / "bundle", resume=True, report=lines.append)
    assert any(line.startswith("goes on: ") for line in lines)
    assert not [line for line in lines if line.startswith("vae_decoder")]  # it was done


def test_prompts_that_nothing_reads_or_nobody_can_read_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only int8-static is calibrated"):
        export_bundle(model, tmp_path / "bundle", prompts=["a cat"])
    with pytest.raises(UsageError, match="cannot be used"):
        export_bundle(model, tmp_path / "bundle", prompts=["a (cat:1e999)"], precisions=["int8-static"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
