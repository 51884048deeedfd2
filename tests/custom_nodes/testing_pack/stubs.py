"""Pictures, masks and numbers to begin with, and what is made of them."""

import numpy as np


class StubImage:
    CATEGORY = "testing/stubs"
    FUNCTION = "make"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        size = {"default": 8, "min": 1, "max": 1024}
        contents = ["WHITE", "BLACK", "NOISE"]
        return {"required": {"content": (contents,), "height": ("INT", size), "width": ("INT", size),
                             "batch_size": ("INT", {**size, "default": 1})}}  # fmt: skip

    def make(self, content, height, width, batch_size):
        shape = (batch_size, height, width, 3)
        if content == "NOISE":
            return (np.random.default_rng(0).random(shape, np.float32),)
        return (np.full(shape, content == "WHITE", np.float32),)


class StubConstantImage:
    CATEGORY = "testing/stubs"
    FUNCTION = "make"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        size = {"default": 8, "min": 1, "max": 1024}
        return {"required": {"value": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0}), "height": ("INT", size),
                             "width": ("INT", size), "batch_size": ("INT", {**size, "default": 1})}}  # fmt: skip

    def make(self, value, height, width, batch_size):
        return (np.full((batch_size, height, width, 3), value, np.float32),)


class StubMask:
    CATEGORY = "testing/stubs"
    FUNCTION = "make"
    RETURN_TYPES = ("MASK",)

    @classmethod
    def INPUT_TYPES(cls):
        size = {"default": 8, "min": 1, "max": 1024}
        return {"required": {"value": ("FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0}), "height": ("INT", size),
                             "width": ("INT", size), "batch_size": ("INT", {**size, "default": 1})}}  # fmt: skip

    def make(self, value, height, width, batch_size):
        return (np.full((batch_size, height, width), value, np.float32),)


class StubInt:
    CATEGORY = "testing/stubs"
    FUNCTION = "make"
    RETURN_TYPES = ("INT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("INT", {"default": 0, "min": -0xFFFFFFFF, "max": 0xFFFFFFFF})}}

    def make(self, value):
        return (value,)


class StubFloat:
    CATEGORY = "testing/stubs"
    FUNCTION = "make"
    RETURN_TYPES = ("FLOAT",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": ("FLOAT", {"default": 0.0, "min": -1.0e38, "max": 1.0e38})}}

    def make(self, value):
        return (value,)


class LazyMixImages:
    """The second picture where the mask is 1, the first where it is 0, in between both; asks for what it takes."""

    CATEGORY = "testing"
    FUNCTION = "mix"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        lazy = ("IMAGE", {"lazy": True})
        return {"required": {"image1": lazy, "image2": lazy, "mask": ("MASK",)}}

    def check_lazy_status(self, mask, image1, image2):
        needed = []
        if image1 is None and mask.min() < 1:
            needed.append("image1")
        if image2 is None and mask.max() > 0:
            needed.append("image2")
        return needed

    def mix(self, mask, image1, image2):
        if image1 is None:
            return (image2,)
        if image2 is None:
            return (image1,)
        image1 *= 1 - mask[..., None]  # what a node is given is its own
        image1 += image2 * mask[..., None]
        return (image1,)


class VariadicAverage:
    """The mean of input1, input2 and so on, of which the first alone is declared."""

    CATEGORY = "testing"
    FUNCTION = "average"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("IMAGE",)}}

    def average(self, input1, **others):
        return (np.mean([input1, *others.values()], axis=0),)


class CustomIsChanged:
    """Counts the calls of each node; never the same while ``should_change``."""

    CATEGORY = "testing"
    FUNCTION = "count"
    RETURN_TYPES = ("IMAGE", "INT")

    def __init__(self):
        self.calls = 0

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}, "optional": {"should_change": ("BOOLEAN", {"default": False})}}

    @classmethod
    def IS_CHANGED(cls, image, should_change=False):
        return float("nan") if should_change else False

    def count(self, image, should_change=False):
        self.calls += 1
        return (image, self.calls)


class IsChangedWithConstants:
    """Is the same for every value from 1 on; links are not known when it is asked."""

    CATEGORY = "testing"
    FUNCTION = "scale"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "value": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0})}}

    @classmethod
    def IS_CHANGED(cls, image, value):
        if image is not None:
            return "known"
        if value == 0.5:
            raise ValueError("cannot tell")
        return value

    def scale(self, image, value):
        return (image * np.float32(value),)


class OutputNodeWithSocketOutput:
    CATEGORY = "testing"
    FUNCTION = "scale"
    RETURN_TYPES = ("IMAGE",)
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "value": ("FLOAT", {"default": 1.0})}}

    def scale(self, image, value):
        return {"ui": {"text": [f"{image.mean() * value:g}"]}, "result": (image * np.float32(value),)}


STUBS = {
    "StubImage": StubImage,
    "StubConstantImage": StubConstantImage,
    "StubMask": StubMask,
    "StubInt": StubInt,
    "StubFloat": StubFloat,
    "TestLazyMixImages": LazyMixImages,
    "TestVariadicAverage": VariadicAverage,
    "TestCustomIsChanged": CustomIsChanged,
    "TestIsChangedWithConstants": IsChangedWithConstants,
    "TestOutputNodeWithSocketOutput": OutputNodeWithSocketOutput,
}
