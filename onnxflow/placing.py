"""What runs where, from flags, the machine's profile and the machine itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from onnxflow.cancel import CancelToken
from onnxflow.engine.places import Placing, checked_variants
from onnxflow.errors import UsageError, did_you_mean, shown
from onnxflow.providers.loading import LOADINGS, Loading
from onnxflow.providers.machine import Machine, OnlyCpu
from onnxflow.providers.placement import AUTO, Placer, Wish, by_component, parse_wish, parse_wishes
from onnxflow.providers.probe import ProbedMachine
from onnxflow.providers.session import ON_NAN
from onnxflow.settings import FILE_NAME

REFUSE, ALLOW = FALLBACKS = ("refuse", "allow")
"""What happens when a device that was asked for does not take a graph: an error, or the CPU and a line that says so."""

LOADING_CHOICES: Final = (AUTO, *LOADINGS)
"""How weights that lie in a file as they are get loaded: as suits the memory and the number of calls, or one way."""


def machine_of(cancel: CancelToken, tell: Callable[[str], None] | None = None) -> ProbedMachine:
    """This machine, whose devices are tried when they are asked for: ``tell`` hears which, ``cancel`` stops it."""
    return ProbedMachine(tell=tell, cancel=cancel)


def placing_of(
    place: Sequence[str],
    profile: Mapping[str, str],
    *,
    fallback: str = REFUSE,
    on_nan: str = ON_NAN[0],
    machine: Machine | None = None,
    loading: str = AUTO,
) -> Placing:
    """The placing for `--place` texts (later ones count), the profile, `--fallback`, `--on-nan` and `--loading`;
    UsageError."""
    for flag, value, allowed in (
        ("--fallback", fallback, FALLBACKS),
        ("--on-nan", on_nan, ON_NAN),
        ("--loading", loading, LOADING_CHOICES),
    ):
        if value not in allowed:
            raise UsageError(f"{flag} {shown(value)} is none of its choices", hint=did_you_mean(value, allowed))
    flags: dict[str, Wish] = {}
    for text in place:
        for key, wish in checked_variants(parse_wishes(text, "--place")).items():
            flags.pop(key, None)  # the later one counts, also where both names stand for the same component
            flags[key] = wish
    written = checked_variants({key: parse_wish(text, f"{FILE_NAME}, {key}") for key, text in profile.items()})
    chosen = cast(Loading, loading) if loading != AUTO else None
    placer = Placer(machine or OnlyCpu(), fallback=fallback == ALLOW, loading=chosen)
    return Placing(flags, by_component(written, FILE_NAME), placer, on_nan)
