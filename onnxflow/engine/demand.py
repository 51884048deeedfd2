"""What has to run in a growing run, found from the outputs, and which of it is ready."""

from __future__ import annotations

from heapq import heappop, heappush

from onnxflow.engine.context import Run
from onnxflow.engine.kept import Kept
from onnxflow.engine.live import Item
from onnxflow.engine.plan import Plan
from onnxflow.errors import InputError


class Demand:
    """All ``items`` of a run by id, how many that are wanted have not run yet (``unfinished``), and their values."""

    def __init__(self, plan: Plan, run: Run) -> None:
        self._run = run
        self._ready: list[tuple[tuple[int, int, int], Item]] = []
        self._by_key: dict[bytes, Item] = {}
        self.unfinished = 0
        self.items: dict[str, Item] = {}
        for position, step in enumerate(plan.steps):
            node, spec = step.call.node, step.call.spec
            first = 0 if spec.is_async or spec.output_node else 1
            item = Item(step, position, (first, position, 0), node.ref, node.id)
            item.readers = [0] * len(spec.outputs)
            self.items[node.id] = item
            for _, link in step.call.links:
                self.items[link.node].readers[link.slot] += 1
        self.kept = Kept(run, self.items)

    @property
    def has_ready(self) -> bool:
        """Whether something can run now."""
        return bool(self._ready)

    def next(self) -> Item:
        """The first of those that are ready."""
        return heappop(self._ready)[1]

    def done(self, item: Item) -> None:
        """The item has its values: whoever waited for it goes on."""
        item.done = True
        item.known = None
        self.unfinished -= 1
        self.kept.end(item)
        waiters, item.waiters = item.waiters, []
        for waiter in waiters:
            waiter.waits -= 1
            self.push_if_ready(waiter)

    def want(self, item: Item) -> None:
        """The item's result is needed, and so is what it is made of, as far as that is not known."""
        waiting = [item]
        while waiting:
            item = waiting.pop()
            if item.wanted:
                continue
            item.wanted = True
            self.unfinished += 1
            self.kept.begin(item)
            item.known = self._run.cache.get(item.step.key) if self._run.cache is not None else None
            if item.known is None:
                item.twin = self._twin_of(item)
                if item.twin is not None:
                    self._wait(item, item.twin)
                    for slot in range(len(item.readers)):
                        item.twin.readers[slot] += 1
                else:
                    self._by_key[item.step.key] = item
                    for name, link in item.step.call.links:
                        declared = item.step.call.spec.by_name.get(name)
                        if declared is None or not declared.lazy:
                            waiting += self._need(item, self.items[link.node])
            self.push_if_ready(item)

    def also(self, item: Item, origin: Item) -> None:
        """The item, which is wanted, needs the origin too."""
        for one in self._need(item, origin):
            self.want(one)

    def _twin_of(self, item: Item) -> Item | None:
        """Another item that computes the same, or did if its values are still there."""
        twin = self._by_key.get(item.step.key)
        return None if twin is None or twin is item or (twin.done and None in twin.values) else twin

    def _need(self, item: Item, origin: Item) -> list[Item]:
        """Have the item wait for what it reads; the origin, if it is to be wanted for it."""
        if origin.done and not self.kept.has(origin):
            self._forget(origin)
        self._wait(item, origin)
        return [] if origin.wanted else [origin]

    def _forget(self, item: Item) -> None:
        """The item's values are gone, and somebody wants them again: as if it had not run."""
        item.wanted = item.done = item.released = False
        item.twin = None
        self._by_key.pop(item.step.key, None)
        for _, link in item.step.call.links:
            self.items[link.node].readers[link.slot] += 1

    def _wait(self, item: Item, origin: Item) -> None:
        if not origin.done:
            origin.waiters.append(item)
            item.waits += 1

    def push_if_ready(self, item: Item) -> None:
        """Let the item run if it waits for nothing."""
        if not item.waits:
            heappush(self._ready, (item.rank, item))

    def stuck(self) -> InputError:
        """The error where nodes wait for each other: which."""
        blocked = [item for item in self.items.values() if item.wanted and not item.done]
        behind = {waiter: item for item in blocked for waiter in item.waiters}
        item = blocked[0]
        path: dict[Item, None] = {}
        while item not in path and item in behind:
            path[item] = None
            item = behind[item]
        ids = [one.id for one in path]
        round_ = ids[ids.index(item.id) :] if item.id in ids else ids
        return InputError(
            f"Dependency cycle detected: {' -> '.join([*round_, item.id])}",
            hint="a node cannot need its own result",
            node=item.root,
        )
