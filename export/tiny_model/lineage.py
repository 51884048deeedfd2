"""What trained weights depend on besides their own section of the recipe: the code that draws the data, and the weights
that were trained before. Checkpoints hold it, so that what no longer fits together is refused."""

import ast
import hashlib
import inspect
from collections.abc import Iterable
from functools import cache

from torch import nn

from onnxflow.export.tiny_model import captions, landscapes, renderer, scenes, styles, subjects
from onnxflow.export.tiny_model.config import Recipe

_DATA = (scenes, landscapes, subjects, captions, renderer, styles)


@cache
def data_digest() -> str:
    """Of the code that decides what pictures and captions are like; comments and layout do not count."""
    return _digest(ast.dump(ast.parse(inspect.getsource(module))).encode() for module in _DATA)


def weights_digest(*networks: nn.Module) -> str:
    """Of all weights of some networks, bit by bit."""
    return _digest(
        part
        for network in networks
        for name, weight in network.state_dict().items()
        for part in (name.encode(), weight.detach().cpu().contiguous().numpy().tobytes())
    )


def recipe_line(recipe: Recipe) -> str:
    """A line that is another one for every recipe with other results."""
    parts = [getattr(recipe, name) for name in Recipe.__slots__ if name != "machine"]
    return f"recipe {_digest([repr(parts).encode(), data_digest().encode()])}"


def _digest(parts: Iterable[bytes]) -> str:
    made = hashlib.sha256()
    for part in parts:
        made.update(len(part).to_bytes(8, "little") + part)
    return made.hexdigest()[:16]
