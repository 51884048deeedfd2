"""Blockers."""

from comfy.comfy_types import IO
from comfy_execution.graph import ExecutionBlocker


class Blocker:
    CATEGORY = "testing"
    FUNCTION = "block"
    RETURN_TYPES = (IO.ANY,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input": (IO.ANY,), "block": ("BOOLEAN",), "verbose": ("BOOLEAN", {"default": False})}}

    def block(self, input, block, verbose):
        return (ExecutionBlocker("Blocked Execution" if verbose else None) if block else input,)


class DictBlocker(Blocker):
    """Gives the blocker in place of the tuple."""

    RETURN_TYPES = (IO.ANY, IO.ANY)

    def block(self, input, block, verbose):
        return {"result": ExecutionBlocker(None) if block else (input, input)}


BLOCKING = {"TestExecutionBlocker": Blocker, "TestDictBlocker": DictBlocker}
