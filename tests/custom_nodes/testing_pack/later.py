"""Coroutine methods."""

import asyncio

from comfy.comfy_types import IO
from comfy_execution.graph_utils import GraphBuilder


class Sleep:
    CATEGORY = "testing/async"
    FUNCTION = "sleep"
    RETURN_TYPES = (IO.ANY,)

    @classmethod
    def INPUT_TYPES(cls):
        seconds = ("FLOAT", {"default": 1.0, "min": 0.0, "max": 9999.0})
        return {"required": {"value": (IO.ANY,), "seconds": seconds}, "hidden": {"unique_id": "UNIQUE_ID"}}

    async def sleep(self, value, seconds, unique_id):
        await asyncio.sleep(seconds)
        return (value,)


class ParallelSleep:
    """Three sleeps in its place."""

    CATEGORY = "testing/async"
    FUNCTION = "sleep"
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls):
        inputs = {}
        for i in (1, 2, 3):
            inputs[f"image{i}"] = ("IMAGE",)
            inputs[f"sleep{i}"] = ("FLOAT", {"default": 0.1, "min": 0.0, "max": 10.0})
        return {"required": inputs}

    def sleep(self, **given):
        graph = GraphBuilder()
        images = {}
        for i in (1, 2, 3):
            node = graph.node("TestSleep", value=given[f"image{i}"], seconds=given[f"sleep{i}"])
            images[f"input{i}"] = node.out(0)
        mean = graph.node("TestVariadicAverage", **images)
        return {"result": (mean.out(0),), "expand": graph.finalize()}


class AsyncValidation(Sleep):
    @classmethod
    async def VALIDATE_INPUTS(cls, seconds):
        await asyncio.sleep(0)
        return "that is too long" if seconds is not None and seconds > 100 else True


class AsyncError(Sleep):
    async def sleep(self, value, seconds, unique_id):
        await asyncio.sleep(seconds)
        raise RuntimeError("woken up")


class AsyncLazyCheck:
    CATEGORY = "testing/async"
    FUNCTION = "choose"
    RETURN_TYPES = (IO.ANY,)

    @classmethod
    def INPUT_TYPES(cls):
        lazy = (IO.ANY, {"lazy": True})
        return {"required": {"first": lazy, "second": lazy, "which": ("BOOLEAN", {"default": False})}}

    async def check_lazy_status(self, which, first, second):
        await asyncio.sleep(0)
        name = "second" if which else "first"
        return [name] if {"first": first, "second": second}[name] is None else []

    async def choose(self, which, first, second):
        return (second if which else first,)


class AsyncDynamic:
    """Coroutine that makes nodes."""

    CATEGORY = "testing/async"
    FUNCTION = "make"
    RETURN_TYPES = (IO.ANY,)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (IO.ANY,), "times": ("INT", {"default": 2})}}

    async def make(self, value, times):
        graph = GraphBuilder()
        link = value
        for _ in range(times):
            await asyncio.sleep(0)
            link = graph.node("TestSleep", value=link, seconds=0.01).out(0)
        return {"result": (link,), "expand": graph.finalize()}


LATER = {
    "TestSleep": Sleep,
    "TestParallelSleep": ParallelSleep,
    "TestAsyncValidation": AsyncValidation,
    "TestAsyncError": AsyncError,
    "TestAsyncLazyCheck": AsyncLazyCheck,
    "TestAsyncDynamic": AsyncDynamic,
}
