"""What a node raised, as an error that names the node."""

from __future__ import annotations

from onnxflow.errors import MemoryLimitError, NodeError, NodeRef, OnnxflowError


def failed(error: Exception, node: NodeRef) -> OnnxflowError:
    """The error to raise for what a node raised, its cause set: our own errors as they are, with the node they happened
    at, one of memory as that, and whatever nobody foresaw as NodeError."""
    if isinstance(error, OnnxflowError):
        return error.at(node)
    if isinstance(error, MemoryError):
        return MemoryLimitError("not enough memory", hint="use a smaller picture or a smaller batch", node=node)
    found = NodeError(
        f"{node.class_type} failed: {type(error).__name__}: {error}",
        hint="this is a defect of the node: run with -v and report what it prints",
        node=node,
    )
    found.__cause__ = error
    return found
