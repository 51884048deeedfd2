import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from onnxflow.errors import OutputError, UsageError
from onnxflow.export.bundle import export_bundle


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_model_inside_the_older_bundle_is_not_removed_with_it(random_model: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    export_bundle(random_model, bundle)
    inside = Path(shutil.copytree(random_model, bundle / "original"))
    before = files(bundle)
    with pytest.raises(UsageError, match="lies in the folder that the bundle would replace"):
        export_bundle(inside, bundle)
    with pytest.raises(OutputError, match="has another file, original/"):
        export_bundle(random_model, bundle)
    assert files(bundle) == before
    shutil.rmtree(inside)
    (bundle / ".DS_Store").write_text("of the system")
    export_bundle(random_model, bundle)
