from pathlib import Path

import pytest

pytest.importorskip("torch")

from onnxflow.errors import UsageError
from onnxflow.export.bundle import export_bundle
from onnxflow.export.lock import alone


def test_two_exports_of_one_name_at_once_are_refused(random_model: Path, tmp_path: Path) -> None:
    with alone(tmp_path / "bundle"), pytest.raises(UsageError, match="another export writes this bundle"):
        export_bundle(random_model, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()
    with alone(tmp_path / "other"):
        export_bundle(random_model, tmp_path / "bundle")
