"""What a file's tensors and metadata say that its denoiser predicts."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onnxflow.errors import ModelError
from onnxflow.models.layout.facts import sampling_of
from onnxflow.models.tensors import TensorFile, encode_tensors, open_tensors

PREFIX = "model.diffusion_model."
ORIGINAL = f"{PREFIX}output_blocks.11.1.transformer_blocks.0.norm1.bias"
DIFFUSERS = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"
WIDE: NDArray[np.float32] = np.array([-0.2, 0.2], np.float32)


def file(folder: Path, *names: str, stated: str = "", values: NDArray[np.float32] = WIDE) -> TensorFile:
    metadata = {"modelspec.prediction_type": stated} if stated else {}
    path = folder / "x.safetensors"
    path.write_bytes(encode_tensors(dict.fromkeys(names, values), metadata))
    return open_tensors(path)


@pytest.mark.parametrize(("witness", "prefix"), [(ORIGINAL, PREFIX), (DIFFUSERS, "")])
def test_the_witness_is_found_in_either_layout(tmp_path: Path, witness: str, prefix: str) -> None:
    assert sampling_of(file(tmp_path, witness), "sd2", 4, prefix).prediction == "v"
    assert sampling_of(file(tmp_path, witness), "sd2", 9, prefix).prediction == "eps"
    assert sampling_of(file(tmp_path, witness), "sd1", 4, prefix).prediction == "eps"
    narrow = file(tmp_path, witness, values=WIDE / np.float32(10))
    assert sampling_of(narrow, "sd2", 4, prefix).prediction == "eps"


def test_a_mark_counts_before_metadata_that_a_merge_has_copied(tmp_path: Path) -> None:
    found = sampling_of(file(tmp_path, "v_pred", "ztsnr", stated="epsilon"), "sdxl", 4, PREFIX)
    assert (found.prediction, found.zero_snr) == ("v", True)
    assert sampling_of(file(tmp_path, "x", stated="v"), "sdxl", 4, PREFIX).prediction == "v"


def test_only_v_ends_in_pure_noise(tmp_path: Path) -> None:
    found = sampling_of(file(tmp_path, "ztsnr"), "sdxl", 4, PREFIX)
    assert (found.prediction, found.zero_snr) == ("eps", False)


@pytest.mark.parametrize("mark", ["edm_mean", "edm_std", "edm_vpred.sigma_max"])
def test_edm_is_refused_by_name(tmp_path: Path, mark: str) -> None:
    with pytest.raises(ModelError, match=mark):
        sampling_of(file(tmp_path, mark), "sdxl", 4, PREFIX)
