"""Has a model the variant that somebody named, and does the device take its graphs? Asked when the model is known,
before anything is computed.

A session is made for it and closed again, once for a model and device: that it was taken is remembered. Devices that
need fixed sizes are left out, since nobody knows the sizes yet; they are asked when the first call comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from onnxflow.engine.cache import Result
from onnxflow.engine.places import COMPONENTS, Places, kind_of
from onnxflow.engine.plan import Plan, Step
from onnxflow.errors import OnnxflowError
from onnxflow.models.source import Source
from onnxflow.providers.device import CPU
from onnxflow.providers.placement import Placer, Wish
from onnxflow.providers.session import SessionLease
from onnxflow.providers.taken import remember_taken, was_taken
from onnxflow.values import handle_of


def _handed_on(step: Step, origins: Mapping[str, int]) -> Iterator[tuple[int, int]]:
    """The places of the models, and of what carries one, that a step gives, with where they came from."""
    came = {
        kind_of(i.type): origins[i.name] for i in step.call.spec.inputs if i.type in COMPONENTS and i.name in origins
    }
    for place, output in enumerate(step.call.spec.outputs, step.first):
        if output.type in COMPONENTS and kind_of(output.type) in came:
            yield place, came[kind_of(output.type)]


class _Question(NamedTuple):
    step: Step
    component: str
    wish: Wish


class Preflight:
    """The questions of one plan, by the place of the value that answers them."""

    def __init__(self, plan: Plan, places: Places, placer: Placer, sessions: SessionLease) -> None:
        self._placer = placer
        self._sessions = sessions
        self._waiting: dict[int, list[_Question]] = {}
        if not places.wishes:
            return
        same: dict[int, int] = {}  # a value by the place of another one -> the place where it is known first
        for step in plan.steps:
            if not step.needed:
                continue
            if step.twin >= 0:
                first = plan.steps[step.twin].first
                for slot in range(len(step.call.spec.outputs)):
                    same[step.first + slot] = same.get(first + slot, first + slot)
                continue
            if step.cached:
                continue
            origins = {name: same.get(place, place) for name, place in step.links}
            if step.call.spec.runs == ():  # it hands on the model that it is given
                same.update(_handed_on(step, origins))
                continue
            for name, component, wish in places.explicit(step.call):
                asks_device = wish.device not in (None, CPU) and not placer.fallback
                if (wish.variant is not None or asks_device) and name in origins:
                    self._waiting.setdefault(origins[name], []).append(_Question(step, component, wish))

    def order(self, plan: Plan) -> list[int]:
        """The positions of the plan's steps in an order to run them: the loaders whose models are asked about first."""
        positions = range(len(plan.steps))
        if not self._waiting:
            return list(positions)

        def asked(position: int) -> bool:
            step = plan.steps[position]
            places = range(step.first, step.first + len(step.call.spec.outputs))
            return not step.links and not self._waiting.keys().isdisjoint(places)

        return sorted(positions, key=lambda position: not asked(position))

    def check(self, step: Step, result: Result) -> None:
        """Ask what the step's results answer; ProviderError or MemoryLimitError, naming the node that would run it."""
        if not self._waiting:
            return
        for slot, values in enumerate(result.outputs):
            for question in self._waiting.pop(step.first + slot, ()):
                for value in values:
                    handle = handle_of(value)
                    if handle is not None:
                        self._ask(handle.source, question)

    def _ask(self, source: Source, question: _Question) -> None:
        component = question.component
        if component not in source.manifest.components:
            return
        try:
            placement = self._placer.place(question.wish, source, component)
            device, variant = placement.device, placement.variant
            if question.wish.device is None or device == CPU or device.fixed or self._placer.fallback:
                return
            if not was_taken(source.identity, component, variant, device):
                self._sessions.check(source, component, placement)
                remember_taken(source.identity, component, variant, device)
        except OnnxflowError as error:
            raise error.at(question.step.call.node.ref) from error.__cause__
