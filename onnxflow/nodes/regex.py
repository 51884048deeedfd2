"""Nodes that search texts with regular expressions: RegexMatch, RegexExtract, RegexReplace."""

from __future__ import annotations

import re
from typing import Annotated, Final, NoReturn

from onnxflow.errors import InputError, shown
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import node
from onnxflow.nodes.string import MOST, Text
from onnxflow.nodes.widgets import Boolean, Combo, Int, Omissible
from onnxflow.text.regex import search
from onnxflow.text.regex_work import Refused, Work

Switch = Annotated[bool, Boolean()]
OptionalSwitch = Annotated[bool, Boolean(), Omissible()]

_MODES: Final = {
    "First Match": "first",
    "All Matches": "all",
    "First Group": "first group",
    "All Groups": "all groups",
}


@node("RegexMatch", category="utils/string", display_name="Regex Match", output_names=("matches",))
def regex_match(
    ctx: Context,
    string: Text,
    regex_pattern: Text,
    case_insensitive: Switch = True,
    multiline: Switch = False,
    dotall: Switch = False,
) -> bool:
    """Whether the pattern is found anywhere in the text; an invalid one is found nowhere.

    InputError when it takes longer than 10 seconds, as for all nodes here.
    """
    work = Work("match", regex_pattern, string, _flags(case_insensitive, multiline, dotall))
    try:
        return bool(search(work, ctx.check_cancelled))
    except Refused:
        return False


@node("RegexExtract", category="utils/string", display_name="Regex Extract")
def regex_extract(
    ctx: Context,
    *,
    string: Text,
    regex_pattern: Text,
    mode: Annotated[str, Combo(tuple(_MODES))],
    case_insensitive: Switch = True,
    multiline: Switch = False,
    dotall: Switch = False,
    group_index: Annotated[int, Int(min=0, max=100)] = 1,
) -> str:
    """What the pattern matches, or one of its groups: of the first place, or of all, a line each.

    All Matches gives a pattern's first group, if it has any, else the match. Empty when nothing is found, when there is
    no such group, when it took no part, and for an invalid pattern.
    """
    flags = _flags(case_insensitive, multiline, dotall)
    work = Work(_MODES[mode], regex_pattern, string, flags, group=group_index, most=MOST)
    try:
        return str(search(work, ctx.check_cancelled))
    except Refused as refused:
        if refused.kind == "pattern":
            return ""
        _refuse(refused, work)


@node("RegexReplace", category="utils/string", display_name="Regex Replace")
def regex_replace(
    ctx: Context,
    string: Text,
    regex_pattern: Text,
    replace: Text,
    case_insensitive: OptionalSwitch = True,
    multiline: OptionalSwitch = False,
    dotall: OptionalSwitch = False,
    count: Annotated[int, Int(min=0, max=100), Omissible()] = 0,
) -> str:
    r"""The text with the first ``count`` matches replaced, all for 0; ``\1`` and ``\g<name>`` stand for groups.

    InputError for a pattern or a replacement that is invalid, with the place.
    """
    flags = _flags(case_insensitive, multiline, dotall)
    work = Work("replace", regex_pattern, string, flags, replacement=replace, count=count, most=MOST)
    try:
        return str(search(work, ctx.check_cancelled))
    except Refused as refused:
        _refuse(refused, work)


def _flags(case_insensitive: bool, multiline: bool, dotall: bool) -> int:
    chosen = ((case_insensitive, re.IGNORECASE), (multiline, re.MULTILINE), (dotall, re.DOTALL))
    return sum(int(flag) for wanted, flag in chosen if wanted)


def _refuse(refused: Refused, work: Work) -> NoReturn:
    if refused.kind == "size":
        raise InputError(refused.reason, hint="shorten the text or the replacement") from None
    if refused.kind == "pattern":
        name, value = "regex_pattern", work.pattern
        hint = "it is written in the syntax of Python's re; a special character that stands for itself needs a \\"
    else:
        name, value = "replace", work.replacement
        hint = "groups are \\1, \\2 ... or \\g<name>; a backslash that stands for itself is \\\\"
    raise InputError(f"{name} {shown(value)} is invalid: {refused.reason}", hint=hint) from None
