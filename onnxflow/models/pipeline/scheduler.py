"""scheduler_config.json: what a network predicts, and the noise schedule it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from onnxflow.errors import ModelError, shown
from onnxflow.models.json_file import read_json
from onnxflow.models.json_object import JsonObject
from onnxflow.models.manifest import SCHEDULES, SamplingConstants
from onnxflow.models.pipeline.config import COPY

FILE: Final = "scheduler/scheduler_config.json"
_PREDICTIONS = {"epsilon": "eps", "v_prediction": "v"}
_OTHER_NOISE: Final = ("EDM", "FlowMatch")
_DEFAULTS: Mapping[str, Any] = {
    "prediction_type": "epsilon", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
    "num_train_timesteps": 1000, "rescale_betas_zero_snr": False,
}  # fmt: skip


def read_sampling(path: Path) -> SamplingConstants:
    """What a scheduler's configuration says; Stable Diffusion 1.x's schedule where there is none.

    ModelError for a prediction or a schedule that is not known, or numbers that make none.
    """
    given = read_json(path, COPY) if path.exists() else {}
    content = {**_DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    kind = str(content.get("_class_name", ""))
    if kind.startswith(_OTHER_NOISE):
        raise ModelError(
            f"the model's scheduler is a {shown(kind)}: it samples by other noise levels than this version",
            where=str(path),
            hint="use a model that predicts eps or v: Stable Diffusion 1.x, 2.x or XL",
        )
    prediction, schedule = content["prediction_type"], content["beta_schedule"]
    if content.get("trained_betas") is not None:
        raise ModelError(
            "the model has a noise schedule of its own (trained_betas)",
            where=str(path),
            hint="known are the schedules scaled_linear and linear",
        )
    if prediction not in list(_PREDICTIONS) or schedule not in SCHEDULES:
        raise ModelError(
            f"the model predicts {shown(prediction)} on the schedule {shown(schedule)}",
            where=str(path),
            hint="known are epsilon and v_prediction, scaled_linear and linear",
        )
    config = JsonObject(content, str(path), subject=path.name, hint=COPY)
    start, end = config.number("beta_start", 1e-9, 0.9999), config.number("beta_end", 1e-9, 0.9999)
    if start > end:
        raise ModelError(
            f"{path.name}'s beta_start is {start}, expected at most beta_end, which is {end}",
            where=str(path),
            hint=COPY,
        )
    return SamplingConstants(
        prediction=_PREDICTIONS[prediction],
        schedule=schedule,
        beta_start=start,
        beta_end=end,
        timesteps=config.whole("num_train_timesteps", 2),
        zero_snr=config.value("rescale_betas_zero_snr", bool),
    )
