"""Several processes train as one: through the command, since a worker can import nothing from a test."""

# ruff: noqa: E402
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist
from torch import nn

from onnxflow.export.tiny_model.__main__ import main
from onnxflow.export.tiny_model.crew import ALONE, Crew, run_crew

PATIENCE = 60.0  # seconds; a crew needs a few for its imports


def test_shares_are_equal_parts_of_a_batch_in_order() -> None:
    assert [list(range(12)[Crew(rank, 3).share(12)]) for rank in range(3)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    assert ALONE.share(5) == slice(0, 5)
    with pytest.raises(ValueError, match="batch of 5 cannot be divided between 2 workers"):
        Crew(0, 2).share(5)


def test_who_is_alone_leads_and_keeps_its_gradients_and_its_process() -> None:
    network = nn.Linear(2, 1)
    network(torch.ones(1, 2)).backward()
    ALONE.average_gradients(network)
    ALONE.wait()
    assert torch.equal(network.weight.grad, torch.ones(1, 2))
    seen = []
    run_crew(1, lambda *given: seen.append((os.getpid(), *given)), ("a", 2))
    assert seen == [(os.getpid(), "a", 2, ALONE)]
    assert ALONE.leads
    assert not Crew(1, 2).leads


def test_gradients_become_their_mean_over_all_members(monkeypatch: pytest.MonkeyPatch) -> None:
    network = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    network[0](torch.ones(1, 2)).backward()  # the second layer has no gradients
    monkeypatch.setattr(dist, "all_reduce", lambda flat: flat.add_(torch.tensor([1.0, 3.0, 7.0])))
    Crew(0, 2).average_gradients(network)
    assert network[0].weight.grad.tolist() == [[1.0, 2.0]]
    assert network[0].bias.grad.tolist() == [4.0]
    assert network[1].weight.grad is None


def command(folder: Path, recipe: str, stage: str) -> list[str]:
    (folder / "recipe.toml").write_text(recipe)
    options = ["--recipe", str(folder / "recipe.toml"), "--out", str(folder / "run"), "--stage", stage]
    return [sys.executable, "-m", "onnxflow.export.tiny_model", *options]


def finished(folder: Path, recipe: str, stage: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, recipe, stage), cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def apart(values: dict, others: dict) -> float:
    """Root mean square of the differences of all tensors; single weights whose gradient is zero but for rounding may
    differ by Adam's whole step."""
    return float(torch.cat([(values[name] - others[name]).flatten() for name in values]).square().mean().sqrt())


def test_two_workers_compute_what_one_computes(miniature: str, tmp_path: Path) -> None:
    rate = 1e-4
    recipe = miniature.replace("batch = 2\nlearning_rate = 1e-3\nwarmup", f"batch = 4\nlearning_rate = {rate}\nwarmup")
    alone, two = tmp_path / "alone", tmp_path / "two"
    alone.mkdir()
    assert main(command(alone, recipe, "text")[3:]) == 0
    shutil.copytree(alone, two)  # the autoencoder's noise depends on the worker, the denoiser's does not
    assert main(command(alone, recipe, "unet")[3:]) == 0
    assert finished(two, recipe.replace("workers = 1", "workers = 2"), "unet").returncode == 0
    one, other = (torch.load(folder / "run" / "unet.pt", weights_only=True) for folder in (alone, two))
    assert one["step"] == other["step"] == 2
    assert apart(one["network"], other["network"]) < rate / 100  # two steps of Adam move most weights by twice the rate
    assert apart(one["average"], other["average"]) < rate / 100
    moments, other_moments = ({n: v["exp_avg"] for n, v in run["optimiser"]["state"].items()} for run in (one, other))
    zeros = {name: torch.zeros_like(value) for name, value in moments.items()}
    assert apart(moments, other_moments) < 1e-4 * apart(moments, zeros)  # where Adam keeps the gradients as they were
    assert (two / "run" / "log.txt").read_text().count("unet: step 2/2") == 1


def test_a_batch_that_cannot_be_divided_is_one_line(miniature: str, tmp_path: Path) -> None:
    recipe = miniature.replace("workers = 1", "workers = 2").replace("[64, 2, 1]]", "[64, 1, 1]]")
    done = finished(tmp_path, recipe, "autoencoder")
    assert done.returncode == 2
    assert done.stderr == "tiny_model: autoencoder.phases: a batch of 1 cannot be divided between 2 workers\n"


@pytest.fixture
def crew(miniature: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A leader in the middle of a long training, and the process id of its worker."""
    if not Path("/proc/self/task").exists():
        pytest.skip("finds a process's children in Linux's /proc")
    recipe = miniature.replace("workers = 1", "workers = 2").replace(
        "checkpoint_every = 1000.0", "checkpoint_every = 0.1"
    )
    recipe = recipe.replace("[[32, 2, 2], [64, 2, 1]]", "[[32, 2, 1000000]]")
    with subprocess.Popen(
        command(tmp_path, recipe, "autoencoder"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # A shell that has started the tests in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as leader:
        until(lambda: leader.poll() is not None or (tmp_path / "run" / "autoencoder.pt").exists())
        children = Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()
        (worker,) = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        yield leader, worker
        leader.kill()


def until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def gone(process: int) -> bool:
    status = Path(f"/proc/{process}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_a_killed_worker_makes_the_leader_fail(crew: tuple[subprocess.Popen[str], int]) -> None:
    leader, worker = crew
    os.kill(worker, signal.SIGKILL)
    assert leader.wait(PATIENCE) == 1
    said = leader.stderr.read()
    assert "Traceback" not in said
    assert said.endswith("tiny_model: a worker is gone, killed or out of memory; start again to go on\n")


@pytest.mark.slow
def test_a_killed_leader_leaves_no_worker_behind(crew: tuple[subprocess.Popen[str], int]) -> None:
    leader, worker = crew
    leader.kill()
    until(lambda: gone(worker))


def test_a_stopped_leader_says_so_and_takes_its_worker_along(crew: tuple[subprocess.Popen[str], int]) -> None:
    leader, worker = crew
    leader.send_signal(signal.SIGINT)
    assert leader.wait(PATIENCE) == 130
    assert gone(worker)
    assert leader.stderr.read().endswith("tiny_model: stopped; start it again to go on\n")
