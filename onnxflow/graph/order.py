"""The order nodes run in: everything the outputs need, each after what it reads, without recursion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


class CycleError(ValueError):
    """Nodes that need each other; ``path`` lists them, the first again at the end."""

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(" -> ".join(path))
        self.path = tuple(path)


def execution_order(targets: Iterable[str], parents: Callable[[str], Iterable[str]]) -> list[str]:
    """All ancestors of ``targets`` and the targets, each once and after its parents.

    Depth first in the order of targets and inputs: one output is finished before the next begins, so the first picture
    comes early and few results are alive at once. Linear in nodes and links. CycleError names the nodes of a cycle.
    """
    order: list[str] = []
    done: set[str] = set()
    open_ids: dict[str, None] = {}  # the path from the target to here, in order
    for target in targets:
        if target in done:
            continue
        open_ids[target] = None
        stack = [(target, iter(parents(target)))]
        while stack:
            current, remaining = stack[-1]
            for parent in remaining:
                if parent in done:
                    continue
                if parent in open_ids:
                    path = list(open_ids)
                    raise CycleError([*path[path.index(parent) :], parent])
                open_ids[parent] = None
                stack.append((parent, iter(parents(parent))))
                break
            else:
                stack.pop()
                del open_ids[current]
                done.add(current)
                order.append(current)
    return order


def descendants(sources: Iterable[str], children: Callable[[str], Iterable[str]]) -> set[str]:
    """Everything reachable from ``sources`` through ``children``, the sources included."""
    found = set(sources)
    waiting = list(found)
    while waiting:
        for child in children(waiting.pop()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found
