"""What becomes of weights that lie in a file as they are stored: left there, or made into what computes fastest.

Measured with a denoiser of Stable Diffusion 1.5 in half precision, a guided pair at 512 px on two cores
(docs/performance.md): in place, a session is there in a second and needs 0.1 GB (LOW) to 0.9 GB (DEFAULT) besides the
mapped file; made fast, it takes 11 seconds and 3.9 GB, and each call is a tenth shorter.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from onnxflow.memory import free_at_once

Loading = Literal["low-memory", "default", "fast"]
LOW: Final = "low-memory"
DEFAULT: Final = "default"
FAST: Final = "fast"
LOADINGS: tuple[str, ...] = get_args(Loading)

GIGABYTE: Final = 1_000_000_000
CALLS_TO_PAY: Final = 14
"""From how many calls on the fast form has saved more time than it took to make (measured: 10 to 17)."""

WIDENED: Final = 1.15
"""The fast form takes about this many times the bytes of its weights in single precision."""

SMALL: Final = 100_000_000
"""Numbers of a network that is made fast whatever the calls: an autoencoder's convolutions gain a quarter, in less than
a second."""


INT8_CALLS_TO_PAY: Final = 5
INT8_PACKED: Final = 1.7
"""The same in int8, whose products want their weights packed: a call is a tenth shorter, too, and made in 3 seconds; it
takes about this many times the bytes that are stored."""


def loading_of(parameters: int, stored: int, free: int | None, calls: int, *, int8: bool = False) -> Loading:
    """How to load a network of so many ``parameters``, ``stored`` in so many bytes, for so many ``calls``, with
    ``free`` bytes of memory (None when nobody knows).

    Fast where that pays and fits beside a picture's own gigabyte; in the least memory where the file itself does not
    fit beside it, since what ONNX Runtime keeps for itself is then read from the disk again at every call.
    """
    if free is None:
        return DEFAULT
    copied = int(INT8_PACKED * stored if int8 else WIDENED * 4 * parameters)
    enough = calls >= (INT8_CALLS_TO_PAY if int8 else CALLS_TO_PAY)
    if (enough or parameters <= SMALL) and copied + 2 * GIGABYTE <= free:
        return FAST
    return LOW if stored + GIGABYTE > free else DEFAULT


def leave_in_place(options: Any, loading: Loading) -> None:
    """Tell ONNX Runtime's session options to use the weights where they lie; nothing for FAST.

    Constants are not folded, or each widened weight would be a copy; weights are not packed; and convolutions are not
    rearranged into blocks of channels, which the level of optimisation decides. Values do not take over each other's
    memory: planning that takes half a second, and a buffer is kept until the last value of its size, which of widened
    weights holds half the network.
    """
    if loading == FAST:
        return
    from onnxflow.providers.runtime import onnxruntime

    options.graph_optimization_level = onnxruntime().GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.add_session_config_entry("session.disable_prepacking", "1")
    options.add_session_config_entry("optimization.disable_specified_optimizers", "ConstantFolding")
    options.enable_mem_pattern = False
    options.enable_mem_reuse = False
    if loading == LOW:
        free_at_once()
        options.enable_cpu_mem_arena = False
