"""Why onnxruntime does not import: messages as Python and the loader write them."""

from __future__ import annotations

import pytest

from onnxflow.providers.import_failure import import_failure, package_of, silent_failure
from onnxflow.providers.provider import Symptom


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


FAILED = "[E:onnxruntime:Default, provider_bridge_ort.cc:1962 Get] [ONNXRuntimeError] : 1 : FAIL : "
REQUIRE = (
    "\n[W:onnxruntime:Default, onnxruntime_pybind_state.cc:1099 CreateExecutionProviderFactoryInstance] Failed to"
    " create CUDAExecutionProvider. Require cuDNN 9.* and CUDA 13.*, and the latest MSVC runtime. Please install all"
)


@pytest.mark.parametrize(
    ("words", "problem", "cure"),
    [
        (
            # as onnxruntime-openvino 1.24.1 wrote it here
            (
                "\x1b[1;31m2026-11-25 22:55:58.9 [E:onnxruntime:Default, provider_bridge_ort.cc:2310 Create] /onnx"
                "runtime/openvino_provider_factory.cc:141 std::string ParseDeviceType(const ProviderOptions&) [ERROR]"
                " [OpenVINO] Device GPU is not available\n\x1b[m"
            ),
            "[OpenVINO] Device GPU is not available",
            "",
        ),
        (
            # the rest as users of onnxruntime-gpu report it
            (
                f"{FAILED}Failed to load library libonnxruntime_providers_cuda.so with error: libcudnn_odd.so.9:"
                f" cannot open shared object file: No such file or directory{REQUIRE}"
            ),
            "the library libcudnn_odd.so.9 is missing",
            "install cuDNN 9.* and CUDA 13.*",
        ),
        (
            (
                rf'{FAILED}Error loading "C:\v\onnxruntime_providers_cuda.dll" which depends on "cudnn64_odd.dll" which'
                f" is missing. (Error 126: ...){REQUIRE}"
            ),
            "the library cudnn64_odd.dll is missing",
            "install cuDNN 9.* and CUDA 13.*",
        ),
        (
            rf'{FAILED}LoadLibrary failed with error 126 "" when trying to load "C:\v\onnxruntime_providers_cuda.dll"',
            "a library that onnxruntime_providers_cuda.dll needs is missing",
            "",
        ),
    ],
)
def test_a_provider_that_was_left_out_in_silence(words: str, problem: str, cure: str) -> None:
    assert silent_failure(words, ()) == (problem, cure)


def test_what_the_catalog_knows_of_a_message_counts() -> None:
    known = (Symptom("cudnn_odd|too old", "it is missing", "install it"),)
    words = "libcudnn_odd.so.9: cannot open shared object file"
    assert silent_failure(words, known) == ("the library libcudnn_odd.so.9 is missing", "install it")
    assert silent_failure("the driver is too old", known) == ("it is missing", "install it")
    assert silent_failure("[W:onnxruntime:Default, x.cc:1 f] mind this", known) is None
