"""Why onnxruntime does not import: messages as Python and the loader write them."""

from __future__ import annotations

import pytest

from onnxflow.providers.import_failure import import_failure, package_of


@pytest.mark.parametrize(
    ("text", "problem", "cure"),
    [
        ("No module named 'onnxruntime'", "onnxruntime is not installed", "pip install onnxflow"),
        (
            "libgomp.so.1: cannot open shared object file: No such file or directory",
            "the library libgomp.so.1 is missing",
            "sudo apt-get install libgomp1",
        ),
        (
            "libodd.so.3: cannot open shared object file: No such file or directory",
            "the library libodd.so.3 is missing",
            "install the package of your system that brings libodd.so.3",
        ),
        (
            "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.28' not found (required by x.so)",
            "the system's C or C++ library is too old for this onnxruntime: it lacks GLIBC_2.28",
            "update the operating system",
        ),
        (
            "x.so: wrong ELF class: ELFCLASS32",
            "a library is for 32 bits",
            "pip install --force-reinstall --no-deps some",
        ),
        (
            "libgomp-d22c30c5.so.1.0.0: cannot allocate memory in static TLS block",
            "libgomp is loaded too late",
            "LD_PRELOAD=",
        ),
        (
            "libonnxruntime.so.1.18.0: cannot enable executable stack as shared object requires: Invalid argument",
            "this system forbids the executable stack",
            "pip install --upgrade some",
        ),
        (
            "\nA module that was compiled using NumPy 1.x cannot be run in NumPy 2.0.0 as it may crash.\nMore",
            "onnxruntime was built for another NumPy",
            "pip install --upgrade numpy some",
        ),
        (
            "numpy.core.multiarray failed to import",
            "onnxruntime was built for another NumPy",
            "pip install --upgrade numpy",
        ),
        (
            "DLL load failed while importing onnxruntime_pybind11_state: A dynamic link library (DLL) initialization",
            "a DLL that onnxruntime needs is missing or too old",
            "winget install Microsoft.VCRedist",
        ),
        (
            "No module named 'onnxruntime.capi.onnxruntime_pybind11_state'",
            "the installed onnxruntime is for another version of Python, or damaged",
            "pip install --force-reinstall --no-deps some",
        ),
        (
            "cannot import name 'ExecutionMode' from 'onnxruntime.capi._pybind_state'",
            "the installed onnxruntime is damaged",
            "pip install --force-reinstall --no-deps some",
        ),
        (
            "module 'onnxruntime' has no attribute 'get_available_providers'",
            "the installed onnxruntime is damaged",
            "pip install --force-reinstall",
        ),
        ("line\nsomething unheard of\n", "onnxruntime does not import: something unheard of", "pip install"),
        ("", "onnxruntime does not import: it said nothing", "pip install"),
    ],
)
def test_every_cause_has_a_command(text: str, problem: str, cure: str) -> None:
    found = import_failure(text, "some")
    assert found[0].startswith(problem)
    assert found[1].startswith(cure)


def test_the_catalog_knows_the_libraries_of_its_providers() -> None:
    assert package_of("libvulkan.so.1") == "sudo apt-get install libvulkan1"
    assert package_of("libodd.so.3", "install CUDA") == "install CUDA"
