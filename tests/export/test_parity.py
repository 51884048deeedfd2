from pathlib import Path

import pytest

pytest.importorskip("torch")

from onnxflow.errors import ModelError
from onnxflow.export import attention
from onnxflow.export.bundle import export_bundle


def test_an_error_in_the_attention_that_is_exported_is_found(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the graphs are compared with is Diffusers' own attention, not the one that they are made of."""
    right = attention.attend
    monkeypatch.setattr(attention, "attend", lambda *given: 1.01 * right(*given))
    with pytest.raises(ModelError, match=r"vae_encoder differs from torch"):
        export_bundle(random_model, tmp_path / "bundle")
