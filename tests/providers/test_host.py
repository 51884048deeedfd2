"""What is read from the files of a machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from onnxflow.providers.host import this_host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="files of Linux")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_machine_with_cards(tmp_path: Path) -> None:
    write(tmp_path / "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    write(tmp_path / "proc/cpuinfo", "processor\t: 0\nmodel name\t: Some Processor\n")
    write(tmp_path / "proc/driver/nvidia/version", "NVRM version: 570\n")
    for number, vendor in enumerate(("0x10de", "0x1002", "0x1af4", "0x8086")):
        write(tmp_path / f"sys/class/drm/card{number}/device/vendor", vendor + "\n")
    host = this_host(tmp_path)
    assert host.board == "Raspberry Pi 5 Model B Rev 1.0"
    assert host.processor == "Some Processor"
    assert host.gpus == ("NVIDIA", "AMD", "Intel")  # each once; a virtual machine's is none


def test_a_machine_that_tells_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    host = this_host(tmp_path)
    assert (host.board, host.gpus) == ("", ())
    assert host.processor and host.cores >= 1 and host.bits in (32, 64) and host.python >= (3, 11)
