"""Lists, numbers, and what collects values from turn to turn."""

from comfy.comfy_types import IO
from comfy.utils import ProgressBar


class MakeList:
    CATEGORY = "testing"
    FUNCTION = "make"
    RETURN_TYPES = (IO.ANY,)
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value1": (IO.ANY,)}, "optional": {f"value{i}": (IO.ANY,) for i in range(2, 6)}}

    def make(self, **values):
        return ([values[name] for name in sorted(values)],)


class Accumulate:
    """What was there, with one more."""

    CATEGORY = "testing"
    FUNCTION = "add"
    RETURN_TYPES = ("ACCUMULATION",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"to_add": (IO.ANY,)}, "optional": {"accumulation": ("ACCUMULATION",)}}

    def add(self, to_add, accumulation=None):
        return ({"accum": [*(accumulation or {"accum": []})["accum"], to_add]},)


class AccumulationToList:
    CATEGORY = "testing"
    FUNCTION = "give"
    RETURN_TYPES = (IO.ANY,)
    OUTPUT_IS_LIST = (True,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"accumulation": ("ACCUMULATION",)}}

    def give(self, accumulation):
        return (accumulation["accum"],)


class IntMath:
    CATEGORY = "testing"
    FUNCTION = "compute"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        number = ("INT", {"default": 0, "min": -(2**40), "max": 2**40})
        return {"required": {"a": number, "b": number, "operation": (["add", "subtract", "multiply"],)}}

    def compute(self, a, b, operation):
        return ({"add": a + b, "subtract": a - b, "multiply": a * b}[operation],)


class IntConditions:
    CATEGORY = "testing"
    FUNCTION = "compare"
    RETURN_TYPES = ("BOOLEAN",)

    @classmethod
    def INPUT_TYPES(cls):
        number = ("INT", {"default": 0, "min": -(2**40), "max": 2**40, "forceInput": True})
        return {"required": {"a": number, "b": number, "operation": (["==", "!=", "<", ">", "<=", ">="],)}}

    def compare(self, a, b, operation):
        return ({"==": a == b, "!=": a != b, "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operation],)


class Show:
    """Shows what it is given as a text, its list as one."""

    CATEGORY = "testing"
    FUNCTION = "show"
    RETURN_TYPES = ()
    OUTPUT_NODE = True
    INPUT_IS_LIST = True

    @classmethod
    def INPUT_TYPES(cls):
        hidden = {"prompt": "PROMPT", "extra": "EXTRA_PNGINFO", "me": "UNIQUE_ID", "token": "AUTH_TOKEN_COMFY_ORG"}
        return {"required": {"value": (IO.ANY,)}, "hidden": hidden}

    def show(self, value, prompt, extra, me, token):
        assert token == [None] and me[0] in prompt[0]
        shown = [f"{item.mean():.3f}" if hasattr(item, "mean") else str(item) for item in value]
        return {"ui": {"text": [", ".join(shown)]}}


class AnyType(str):
    """As many packs write a type that fits any other."""

    def __ne__(self, other):
        return False


class Flexible(dict):
    """As many packs say that they take inputs of any name."""

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return (AnyType("ANY"),)


class FirstOfAny:
    """The first input that is there, whatever it is called, with what it counted."""

    CATEGORY = "testing"
    FUNCTION = "first"
    RETURN_TYPES = (AnyType("ANY"), "INT")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}, "optional": Flexible()}

    def first(self, **values):
        bar = ProgressBar(len(values))
        for _ in values:
            bar.update(1)
        return (next(value for value in values.values() if value is not None), len(values))


LISTS = {
    "TestFirstOfAny": FirstOfAny,
    "TestMakeListNode": MakeList,
    "TestAccumulateNode": Accumulate,
    "TestAccumulationToListNode": AccumulationToList,
    "TestIntMathOperation": IntMath,
    "TestIntConditions": IntConditions,
    "TestShow": Show,
}
