"""Where a graph can run: an execution provider and one of its devices, as users write it ("cuda:1", "openvino:npu")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnxflow.errors import UsageError, did_you_mean, shown
from onnxflow.providers.catalog import CATALOG, provider_named, provider_names
from onnxflow.providers.provider import Provider


@dataclass(frozen=True, slots=True, order=True)
class Device:
    """A provider of the catalog, by name, and its unit: a name, a number in text, or "" where there is only one."""

    provider: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.provider}:{self.unit}" if self.unit else self.provider

    @property
    def facts(self) -> Provider:
        """What the catalog says of its provider."""
        return provider_named(self.provider)

    @property
    def options(self) -> Mapping[str, str]:
        """The provider options that choose this device, with the defaults of its provider."""
        facts = self.facts
        chosen = dict(facts.options)
        if facts.unit_option and self.unit:
            chosen[facts.unit_option] = facts.units.get(self.unit, self.unit)
        return chosen

    def options_for(self, precision: str) -> Mapping[str, str]:
        """The provider options for a graph in one precision."""
        return {**self.options, **self.facts.variants.get(precision, {})}

    @property
    def own_memory(self) -> bool:
        """Whether it computes in a memory that is not the CPU's, or not counted as free there."""
        return self.facts.memory or self.unit in ("gpu", "npu")

    @property
    def fixed(self) -> bool:
        """Whether it needs sizes fixed when a graph is loaded."""
        return self.facts.fixes(self.unit)


CPU = Device("cpu")


def parse_device(text: str) -> Device:
    """The device that ``text`` names; UsageError for an unknown provider or a unit that it does not have."""
    name, colon, unit = text.strip().lower().partition(":")
    facts = CATALOG.get(name)
    if facts is None:
        raise UsageError(
            f"there is no execution provider {shown(name)}", hint=did_you_mean(name, provider_names(), what="providers")
        )
    if facts.counted:
        if colon and not (unit.isascii() and unit.isdecimal() and len(unit) < 10):
            raise UsageError(f"{shown(text)}: {facts.name}'s devices are numbers", hint=f"write {facts.name}:0")
        return Device(facts.name, str(int(unit or "0")))
    if facts.units:
        if colon and unit not in facts.units:
            raise UsageError(
                f"{shown(text)}: {facts.name} has no device {shown(unit)}",
                hint=did_you_mean(unit, facts.units, what=f"devices of {facts.name}"),
            )
        return Device(facts.name, unit or next(iter(facts.units)))
    if colon:
        raise UsageError(f"{shown(text)}: {facts.name} has one device only", hint=f"write {facts.name}")
    return Device(facts.name)
