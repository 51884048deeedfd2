"""Which output nodes a problem keeps from running."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from onnxflow.errors import Problem


def with_outputs(
    problems: Sequence[Problem], links: Iterable[tuple[str, str]], outputs: Sequence[str]
) -> list[Problem]:
    """The problems with those of ``outputs`` that depend on the node of each; ``links`` are (node, one that reads
    it), by ids."""
    children: dict[str, list[str]] = {}
    for origin, reader in links:
        children.setdefault(origin, []).append(reader)
    # For each node the problems that it has or inherits, as the bits of a number: all of them travel at once.
    inherited: dict[str, int] = {}
    for number, problem in enumerate(problems):
        if problem.node is not None:
            inherited[problem.node.id] = inherited.get(problem.node.id, 0) | 1 << number
    waiting = deque(reversed(inherited))  # those that others read were bound last
    queued = set(inherited)
    while waiting:
        node_id = waiting.popleft()
        queued.discard(node_id)
        for child in children.get(node_id, ()):
            before = inherited.get(child, 0)
            inherited[child] = before | inherited[node_id]
            if inherited[child] != before and child not in queued:
                queued.add(child)
                waiting.append(child)
    kept: dict[int, list[str]] = {number: [] for number in range(len(problems))}
    for output in outputs:
        left = inherited.get(output, 0)
        while left:
            number = left.bit_length() - 1
            kept[number].append(output)
            left ^= 1 << number
    return [replace(problem, outputs=tuple(kept[number])) for number, problem in enumerate(problems)]
