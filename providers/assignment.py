"""Which execution provider took each node of a graph: read back from ONNX Runtime after a session is made.

Asked for a provider that cannot take a node, or is not there at all, ONNX Runtime gives the node to the CPU and says
nothing. What was asked for is compared with this instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RECORD_OPTION: Final = ("session.record_ep_graph_assignment_info", "1")

HEAVY: Final = frozenset(
    {
        *("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "FusedConv", "NhwcConv"),
        *("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulInteger", "QLinearMatMul", "MatMulNBits"),
        *("DynamicQuantizeMatMul", "MatMulIntegerToFloat", "Einsum"),
        *("Attention", "MultiHeadAttention", "QAttention"),
        *("Softmax", "LogSoftmax", "InstanceNormalization", "LayerNormalization", "GroupNormalization", "GroupNorm"),
        *("SkipLayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization", "BatchNormalization"),
        *("Resize", "Upsample", "Sigmoid", "Tanh", "Erf", "Gelu", "FastGelu", "QuickGelu", "BiasGelu", "EPContext"),
    }
)
"""Operators that work on pictures and never on shapes: where these run is where a graph runs. ONNX Runtime itself puts
what computes sizes (Shape, Gather, Concat ...) on the CPU, because their results are needed there."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """How many nodes of each operator each execution provider took, before fusions of its own."""

    counts: tuple[tuple[str, str, int], ...]

    @property
    def nodes(self) -> Mapping[str, int]:
        """Nodes by execution provider, the one with most of them first."""
        found: Counter[str] = Counter()
        for ep, _, count in self.counts:
            found[ep] += count
        return dict(found.most_common())

    def heavy(self) -> Mapping[str, int]:
        """Nodes of heavy operators by execution provider."""
        found: Counter[str] = Counter()
        for ep, operator, count in self.counts:
            if operator in HEAVY:
                found[ep] += count
        return dict(found.most_common())

    def elsewhere(self, ep: str) -> Mapping[str, int]:
        """The heavy operators that another provider than ``ep`` took, with their nodes, most first."""
        found: Counter[str] = Counter()
        for other, operator, count in self.counts:
            if other != ep and operator in HEAVY:
                found[operator] += count
        return dict(found.most_common())


def assignment_of(session: Any) -> Assignment:
    """The assignment of an ONNX Runtime session that was made with ``RECORD_OPTION``."""
    found: Counter[tuple[str, str]] = Counter()
    for part in session.get_provider_graph_assignment_info():
        for node in part.get_nodes():
            found[part.ep_name, node.op_type] += 1
    return Assignment(tuple((ep, operator, count) for (ep, operator), count in found.items()))
