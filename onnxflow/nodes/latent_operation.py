"""Operations on latents as values: two of them, and what applies one to a latent or to a model's guidance."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Float, Int
from onnxflow.sampling.latent_operation import LatentOperation, Sharpen, Tonemap
from onnxflow.sampling.patches import OperatedGuidance
from onnxflow.values import Latent, Model

Factor = Annotated[float, Float(min=0.0, max=100.0, step=0.01)]
Radius = Annotated[int, Int(min=1, max=31, step=1)]
Width = Annotated[float, Float(min=0.1, max=10.0, step=0.1)]
Alpha = Annotated[float, Float(min=0.0, max=5.0, step=0.01)]
_CATEGORY = "latent/advanced/operations"


@node("LatentApplyOperation", category=_CATEGORY, experimental=True)
def latent_apply_operation(samples: Latent, operation: LatentOperation) -> Latent:
    """The latent after the operation."""
    return samples.with_samples(operation.apply(samples.samples))


@node("LatentApplyOperationCFG", category=_CATEGORY, experimental=True, runs=())
def latent_apply_operation_cfg(model: Model, operation: LatentOperation) -> Model:
    """The model whose positive prediction, less the negative one, goes through the operation before guidance."""
    return replace(model, patches=(*model.patches, OperatedGuidance(operation)))


@node("LatentOperationTonemapReinhard", category=_CATEGORY, experimental=True)
def latent_operation_tonemap_reinhard(multiplier: Factor = 1.0) -> LatentOperation:
    """Large values made smaller, small ones left alone."""
    return Tonemap(multiplier)


@node("LatentOperationSharpen", category=_CATEGORY, experimental=True)
def latent_operation_sharpen(sharpen_radius: Radius = 9, sigma: Width = 1.0, alpha: Alpha = 0.1) -> LatentOperation:
    """Differences between neighbouring cells made larger."""
    return Sharpen(sharpen_radius, sigma, alpha)
