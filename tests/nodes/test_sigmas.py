"""SplitSigmas, SplitSigmasDenoise, FlipSigmas, SetFirstSigma, ExtendIntermediateSigmas, SamplingPercentToSigma."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.nodes import sigmas as nodes
from onnxflow.nodes.catalog import builtin_catalog, specs_of
from onnxflow.nodes.model_sampling import model_sampling, model_sampling_sd3
from onnxflow.nodes.spec import NodeSpec
from onnxflow.values import Model, Sigmas

MODEL = Model(open_bundle(embedded_folder()))
CATALOG = builtin_catalog()
FOUR = Sigmas(np.array([4, 3, 2, 1, 0], np.float32))


def levels(spec: NodeSpec, sigmas: Sigmas = FOUR, **inputs: Any) -> list[list[float]]:
    found = spec.function(sigmas=sigmas, **inputs)
    parts = found if isinstance(found, tuple) else (found,)
    assert all(isinstance(part, Sigmas) and not part.values.flags.writeable for part in parts)
    return [part.values.tolist() for part in parts]


@pytest.mark.parametrize(
    ("spec", "inputs", "expected"),
    [
        (nodes.split_sigmas, {"step": 1}, [[4, 3], [3, 2, 1, 0]]),
        (nodes.split_sigmas, {}, [[4], [4, 3, 2, 1, 0]]),
        (nodes.split_sigmas_denoise, {"denoise": 0.5}, [[4, 3, 2], [2, 1, 0]]),
        (nodes.split_sigmas_denoise, {"denoise": 0.0}, [[], [0]]),
        (nodes.flip_sigmas, {}, [[np.float32(0.0001), 1, 2, 3, 4]]),
        (nodes.set_first_sigma, {}, [[136, 3, 2, 1, 0]]),
        (
            nodes.extend_intermediate_sigmas,
            {"start_at_sigma": 3.0, "end_at_sigma": 2.0, "spacing": "linear"},
            [[4, 3, 2.5, 2, 1.5, 1, 0]],
        ),
    ],
)
def test_each_node_gives_its_part(spec: NodeSpec, inputs: dict[str, Any], expected: list[list[float]]) -> None:
    assert levels(spec, **inputs) == expected


def test_an_empty_schedule_stays_empty() -> None:
    nothing = Sigmas(np.empty(0, np.float32))
    assert levels(nodes.split_sigmas, nothing) == [[], []]
    assert levels(nodes.split_sigmas_denoise, nothing) == [[], []]
    assert levels(nodes.flip_sigmas, nothing) == [[]]
    assert levels(nodes.extend_intermediate_sigmas, nothing, spacing="sine") == [[]]
    with pytest.raises(InputError, match="empty"):
        levels(nodes.set_first_sigma, nothing)


def test_percent_to_sigma_is_of_the_patched_model() -> None:
    at = nodes.sampling_percent_to_sigma.function
    assert at(model=MODEL) == 999999999.9
    assert at(model=MODEL, return_actual_sigma=True) == float(model_sampling(MODEL).sigma_max)
    assert at(model=MODEL, sampling_percent=0.5) == pytest.approx(1.6155803203582764, rel=1e-6)
    assert at(model=model_sampling_sd3.function(model=MODEL, shift=1.0), sampling_percent=0.25) == 0.75
    (output,) = nodes.sampling_percent_to_sigma.outputs
    assert (output.name, output.type) == ("sigma_value", "FLOAT")


def test_the_catalog_has_them_and_none_runs_a_network() -> None:
    found = {spec.name for spec in specs_of(nodes)}
    assert found == {
        *("SplitSigmas", "SplitSigmasDenoise", "FlipSigmas", "SetFirstSigma", "ExtendIntermediateSigmas"),
        "SamplingPercentToSigma",
    }
    assert all(CATALOG[name].runs == () for name in found)
