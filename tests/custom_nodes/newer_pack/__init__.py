"""Classes of the newer kind."""

import asyncio

from comfy_api.latest import ComfyExtension, io


class Blend(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="NewerBlend",
            display_name="Blend",
            category="testing/newer",
            description="Two pictures, so much of the second.",
            inputs=[
                io.Image.Input("one"),
                io.Image.Input("other", lazy=True),
                io.Float.Input("share", default=0.5, min=0.0, max=1.0, step=0.01),
                io.Combo.Input("how", options=["plain", "rounded"], optional=True),
            ],
            outputs=[io.Image.Output(display_name="picture"), io.String.Output()],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def check_lazy_status(cls, one, other, share, how="plain"):
        return ["other"] if other is None and share > 0 else []

    @classmethod
    def validate_inputs(cls, share):
        return "it is never 0.25" if share == 0.25 else True

    @classmethod
    def execute(cls, one, other, share, how="plain"):
        blended = one if other is None else one * (1 - share) + other * share
        return io.NodeOutput(blended.round() if how == "rounded" else blended, f"by {cls.hidden.unique_id}")


class Gate(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="NewerGate",
            inputs=[io.AnyType.Input("value"), io.Boolean.Input("open", default=True)],
            outputs=[io.AnyType.Output()],
        )

    @classmethod
    async def execute(cls, value, open):
        await asyncio.sleep(0.01)
        return io.NodeOutput(value) if open else io.NodeOutput(block_execution="the gate is closed")


class Newer(ComfyExtension):
    async def get_node_list(self):
        return [Blend, Gate]


async def comfy_entrypoint():
    return Newer()
