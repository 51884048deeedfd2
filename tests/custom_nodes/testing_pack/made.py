"""Nodes that make nodes."""

import numpy as np
from comfy_execution.graph_utils import GraphBuilder


class DynamicDependencyCycle:
    """Makes two nodes that need each other."""

    CATEGORY = "testing"
    FUNCTION = "make"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("IMAGE",), "input2": ("IMAGE",)}}

    def make(self, input1, input2):
        graph = GraphBuilder()
        mask = graph.node("StubMask", value=0.5, height=8, width=8, batch_size=1)
        one = graph.node("TestLazyMixImages", image1=input1, mask=mask.out(0))
        other = graph.node("TestLazyMixImages", image1=one.out(0), image2=input2, mask=mask.out(0))
        one.set_input("image2", other.out(0))
        return {"result": (other.out(0),), "expand": graph.finalize()}


class MixedExpansionReturns:
    """Two lists of pictures, in which there are links, values and what a link with a list gives."""

    CATEGORY = "testing"
    FUNCTION = "make"
    RETURN_TYPES = ("IMAGE", "IMAGE")

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"input1": ("FLOAT", {"default": 0.5})}}

    def make(self, input1):
        grey = np.full((1, 8, 8, 3), input1, np.float32)
        white = np.ones((1, 8, 8, 3), np.float32)
        if input1 < 0.1:
            return (grey, white)
        graph = GraphBuilder()
        if input1 < 0.6:
            made = graph.node("StubImage", content="BLACK", height=8, width=8, batch_size=1)
            return {"result": (made.out(0), white), "expand": graph.finalize()}
        mask = graph.node("StubMask", value=0.5, height=8, width=8, batch_size=1)
        mixed = graph.node("TestLazyMixImages", image1=grey, image2=white, mask=mask.out(0))
        return {"result": (mixed.out(0), mixed.out(0)), "expand": graph.finalize()}


class ExpandsToOutput:
    """Has an output node run in its place."""

    CATEGORY = "testing"
    FUNCTION = "make"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def make(self, image):
        graph = GraphBuilder()
        shown = graph.node("TestOutputNodeWithSocketOutput", image=image, value=2.0)
        return {"result": (image,), "expand": graph.finalize(), "ui": {"text": [shown.id]}}


MADE = {
    "TestDynamicDependencyCycle": DynamicDependencyCycle,
    "TestMixedExpansionReturns": MixedExpansionReturns,
    "TestExpandsToOutput": ExpandsToOutput,
}
