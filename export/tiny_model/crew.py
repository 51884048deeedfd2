"""Training in several processes: each computes the gradient of its part of every batch, and all go on with the mean.

Networks as small as these gain nothing from threads (measured: 3 % with a second one), but a second process nearly
doubles the speed.
"""

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess, parent_process
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

PATIENCE = 1800.0  # seconds that a member waits for another: one may draw pictures while the others are done


@dataclass(frozen=True, slots=True)
class Crew:
    """Which member this process is, of how many; member 0 writes the log and the files."""

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this member writes files."""
        return self.rank == 0

    def share(self, total: int) -> slice:
        """This member's part of a batch; ValueError when it cannot be divided evenly."""
        if total % self.count:
            raise ValueError(f"a batch of {total} cannot be divided between {self.count} workers")
        part = total // self.count
        return slice(self.rank * part, (self.rank + 1) * part)

    def average_gradients(self, network: nn.Module) -> None:
        """Replace every gradient with its mean over all members."""
        if self.count == 1:
            return
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def wait(self) -> None:
        """Go on when every member is here."""
        if self.count > 1:
            dist.barrier()


ALONE = Crew()


def run_crew(count: int, work: Callable[..., None], arguments: Sequence[Any]) -> None:
    """Call `work(*arguments, crew)` in `count` processes, this one leading; returns or raises what the leader does.

    ChildProcessError when another member is gone: the leader then fails at its next exchange.
    """
    if count == 1:
        work(*arguments, ALONE)
        return
    with tempfile.TemporaryDirectory(prefix="onnxflow-crew-") as folder:
        meeting = Path(folder) / "meeting"
        context = mp.get_context("spawn")
        members: list[BaseProcess] = [
            context.Process(target=_member, args=(rank, count, meeting, work, arguments), daemon=True)
            for rank in range(1, count)
        ]
        for member in members:
            member.start()
        try:
            _member(0, count, meeting, work, arguments)
        except RuntimeError as error:
            members[0].join(1)  # one that was killed a moment ago is not counted as gone at once
            if all(member.is_alive() for member in members):
                raise
            raise ChildProcessError("a worker is gone, killed or out of memory; start again to go on") from error
        finally:
            for member in members:
                member.join(5)
                member.kill()


def _member(rank: int, count: int, meeting: Path, work: Callable[..., None], arguments: Sequence[Any]) -> None:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if rank > 0:
        threading.Thread(target=_leave_with_the_leader, daemon=True).start()
    dist.init_process_group(
        "gloo", init_method=meeting.as_uri(), rank=rank, world_size=count, timeout=timedelta(seconds=PATIENCE)
    )
    try:
        work(*arguments, Crew(rank, count))
    except (KeyboardInterrupt, ValueError):
        if rank == 0:  # who says what all members see: a recipe that makes no sense
            raise
    except RuntimeError as error:  # this member's own, or that another one is gone
        if rank == 0:
            raise
        print(f"tiny_model: worker {rank} ends: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
    finally:
        dist.destroy_process_group()


def _leave_with_the_leader() -> None:
    """End this process when the leader's is gone, however it ended: nobody else would stop it between two exchanges."""
    leader = parent_process()
    assert leader is not None
    wait([leader.sentinel])
    os._exit(1)
