"""Loops: the end of a loop has what lies between it and the beginning run once more in its place."""

from comfy.comfy_types import IO
from comfy_execution.graph_utils import GraphBuilder, is_link

SOCKETS = 4


def _values(first=1):
    return {f"initial_value{i}": (IO.ANY,) for i in range(first, SOCKETS)}


class WhileLoopOpen:
    CATEGORY = "testing/flow"
    FUNCTION = "begin"
    RETURN_TYPES = ("FLOW_CONTROL", *[IO.ANY] * SOCKETS)
    RETURN_NAMES = ("FLOW_CONTROL", *(f"value{i}" for i in range(SOCKETS)))

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"condition": ("BOOLEAN", {"default": True})}, "optional": _values(0)}

    def begin(self, condition, **values):
        return ("flow", *(values.get(f"initial_value{i}") for i in range(SOCKETS)))


class WhileLoopClose:
    CATEGORY = "testing/flow"
    FUNCTION = "close"
    RETURN_TYPES = (IO.ANY,) * SOCKETS

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {"flow_control": ("FLOW_CONTROL", {"rawLink": True}),
                         "condition": ("BOOLEAN", {"forceInput": True})},
            "optional": _values(0),
            "hidden": {"dynprompt": "DYNPROMPT", "unique_id": "UNIQUE_ID"},
        }  # fmt: skip

    def close(self, flow_control, condition, dynprompt, unique_id, **values):
        found = tuple(values.get(f"initial_value{i}") for i in range(SOCKETS))
        if not condition:
            return found
        first = flow_control[0]
        inside = self._inside(first, unique_id, dynprompt)
        graph = GraphBuilder()
        copies = {}
        for number, node_id in enumerate(inside):
            copies[node_id] = graph.node(dynprompt.get_node(node_id)["class_type"], str(number))
            copies[node_id].set_override_display_id(node_id)
        for node_id, copy in copies.items():
            for name, value in dynprompt.get_node(node_id)["inputs"].items():
                inner = is_link(value) and value[0] in copies
                copy.set_input(name, copies[value[0]].out(value[1]) if inner else value)
        for i, value in enumerate(found):
            copies[first].set_input(f"initial_value{i}", value)
        return {
            "result": tuple(copies[unique_id].out(i) for i in range(SOCKETS)),
            "expand": graph.finalize(),
        }

    @staticmethod
    def _inside(first, last, dynprompt):
        """The nodes from the beginning of the loop to its end, both included."""
        readers = {}
        waiting, seen = [last], {last}
        while waiting:
            node_id = waiting.pop()
            for value in dynprompt.get_node(node_id)["inputs"].values():
                if is_link(value):
                    readers.setdefault(value[0], []).append(node_id)
                    if value[0] not in seen and value[0] != first:
                        seen.add(value[0])
                        waiting.append(value[0])
        inside, waiting = {first: None}, [first]
        while waiting:
            for node_id in readers.get(waiting.pop(), ()):
                if node_id not in inside:
                    inside[node_id] = None
                    waiting.append(node_id)
        return inside


class ForLoopOpen:
    CATEGORY = "testing/flow"
    FUNCTION = "begin"
    RETURN_TYPES = ("FLOW_CONTROL", "INT", *[IO.ANY] * (SOCKETS - 1))

    @classmethod
    def INPUT_TYPES(cls):
        remaining = ("INT", {"default": 1, "min": 0, "max": 100000})
        return {"required": {"remaining": remaining}, "optional": {**_values(), "initial_value0": (IO.ANY,)}}

    def begin(self, remaining, **values):
        remaining = values.get("initial_value0", remaining)  # the loop's end sets it
        graph = GraphBuilder()
        inner = {f"initial_value{i}": values[f"initial_value{i}"] for i in range(1, SOCKETS)
                 if f"initial_value{i}" in values}  # fmt: skip
        opened = graph.node("TestWhileLoopOpen", condition=remaining > 0, initial_value0=remaining, **inner)
        outputs = (opened.out(i + 1) for i in range(1, SOCKETS))
        return {"result": ("flow", remaining, *outputs), "expand": graph.finalize()}


class ForLoopClose:
    CATEGORY = "testing/flow"
    FUNCTION = "close"
    RETURN_TYPES = (IO.ANY,) * (SOCKETS - 1)

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"flow_control": ("FLOW_CONTROL", {"rawLink": True})},
                "optional": {name: (IO.ANY, {"rawLink": True}) for name in _values()}}  # fmt: skip

    def close(self, flow_control, **values):
        graph = GraphBuilder()
        first = flow_control[0]
        less = graph.node("TestIntMathOperation", a=[first, 1], b=1, operation="subtract")
        more = graph.node("TestIntConditions", a=less.out(0), b=0, operation=">")
        end = graph.node("TestWhileLoopClose", flow_control=flow_control, condition=more.out(0),
                         initial_value0=less.out(0), **values)  # fmt: skip
        return {"result": tuple(end.out(i) for i in range(1, SOCKETS)), "expand": graph.finalize()}


LOOPS = {
    "TestWhileLoopOpen": WhileLoopOpen,
    "TestWhileLoopClose": WhileLoopClose,
    "TestForLoopOpen": ForLoopOpen,
    "TestForLoopClose": ForLoopClose,
}
