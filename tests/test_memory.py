"""What memory there is, as Linux and its control groups say it."""

from __future__ import annotations

from pathlib import Path

from onnxflow.memory import Memory, free_memory, size, total_memory

MEMINFO = "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable: 4000 kB\nSwapFree: 500 kB\n"


def system(folder: Path, group: str = "0::/a/b", **limits: str) -> Memory | None:
    """What is free where the control groups `a` and `a/b` have these limits."""
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(MEMINFO)
    (folder / "self" / "cgroup").write_text(f"9:name=systemd:/x\n{group}\n")
    for name, limit in limits.items():
        below = folder / "groups" / name.replace("_", "/")
        below.mkdir(parents=True, exist_ok=True)
        (below / "memory.max").write_text(limit)
        (below / "memory.current").write_text("900000\n")
        (below / "memory.stat").write_text("anon 1\ninactive_file 100000\nactive_file 50000\n")
    return free_memory(folder, folder / "groups")


def test_memory_is_what_linux_calls_available_within_the_limits_of_its_groups(tmp_path: Path) -> None:
    whole = Memory(4_096_000, 512_000)
    assert system(tmp_path / "1") == whole
    assert system(tmp_path / "2", a="max\n", a_b="max\n") == whole
    assert system(tmp_path / "3", a="1000000\n", a_b="max\n") == Memory(250_000, 0)
    assert system(tmp_path / "4", a_b="2000000\n", a="9000000\n") == Memory(1_250_000, 0)
    assert system(tmp_path / "5", a_b="90000000\n") == whole
    assert system(tmp_path / "6", group="4:memory:/a") == whole
    assert free_memory(tmp_path / "nothing") is None


def test_the_whole_memory_is_the_least_limit_of_its_groups(tmp_path: Path) -> None:
    system(tmp_path / "1", a="1000000\n", a_b="max\n")
    assert total_memory(tmp_path / "1", tmp_path / "1" / "groups") == 1_000_000
    whole = total_memory(tmp_path / "nothing")
    assert whole is not None and whole > 10**8


def test_bytes_are_written_for_people() -> None:
    assert (size(2_500_000_000), size(1_500_000)) == ("2.5 GB", "1.5 MB")
