"""Intel's OpenVINO: CPU (also AMD's), Intel GPU and NPU.

Option keys are those that onnxruntime-openvino 1.24.1 accepts (tried one by one: it refuses others); operators those of
data_ops.cc, and ours were tried on its CPU one by one. Where a device is missing, it logs that and makes a session on
the CPU instead. The plug-in (1.8.1) takes no ``device_type``: its device is chosen from the list of devices; of the
other keys it takes some by ``load_config`` only, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from onnxflow.providers.operators import COMMON
from onnxflow.providers.provider import FOLDER, Provider, Symptom, Wheel, operators, words

_INTEL = (("linux", "x86_64"), ("win32", "amd64"))

OPENVINO: Final = Provider(
    name="openvino",
    ep="OpenVINOExecutionProvider",
    title="Intel OpenVINO",
    wheels=(
        Wheel("onnxruntime-openvino", "pip install onnxflow-openvino", _INTEL),
        # It offers no device on a processor of AMD (1.8.1).
        Wheel(
            "onnxruntime-ep-openvino",
            "pip install 'onnxflow[openvino-plugin]'",
            _INTEL,
            module="onnxruntime_ep_openvino",
        ),
    ),
    # fp32 first: the CPU computes fp16 in fp32. Not int8: DynamicQuantizeMatMul ends the process (segmentation fault at
    # loading, 1.24.1), MatMulIntegerToFloat goes to the CPU.
    precisions=("fp32", "fp16", "int8-static"),
    # Without it a GPU computes fp32 graphs in fp16 (OpenVINO's documentation).
    variants={"fp32": {"precision": "ACCURACY"}},
    units={"cpu": "CPU", "gpu": "GPU", "npu": "NPU"},
    unit_option="device_type",
    hardware={"cpu": "CPU", "gpu": "GPU", "npu": "NPU"},
    keys=words(
        """
        cache_dir context device_id device_luid device_type disable_dynamic_shapes enable_causallm
        enable_opencl_throttling enable_qdq_optimizer layout load_config model_priority num_of_threads num_streams
        precision reshape_input
        """
    ),
    fixed=frozenset({"npu"}),
    kernels=COMMON | operators("ConstantOfShape DequantizeLinear DynamicQuantizeLinear MatMulInteger QuantizeLinear"),
    cache={"cache_dir": FOLDER},
    context=True,
    # No libraries: the CPU needs none; those of GPU and NPU come with their drivers.
    symptoms=(
        Symptom(
            r"Device with \"?GPU[\w.]*\"? name is not registered|Device GPU[\w.]* is not available"
            r"|No GPU device was found|Failed to create plugin .*GPU",
            "OpenVINO finds no Intel GPU, or no driver for it",
            "sudo apt-get install intel-opencl-icd, or on Windows the driver of the GPU",
        ),
        Symptom(
            r"Device with \"?NPU[\w.]*\"? name is not registered|Device NPU[\w.]* is not available"
            r"|Failed to create plugin .*NPU",
            "OpenVINO finds no Intel NPU, or no driver for it",
            "install the driver of the NPU from github.com/intel/linux-npu-driver/releases or Windows Update",
        ),
        Symptom(
            r"Device with \"?\w+\"? name is not registered",
            "OpenVINO has no such device here",
            "use openvino:cpu",
        ),
        Symptom(
            r"ZE_RESULT_ERROR_(UNINITIALIZED|DEVICE_LOST|UNSUPPORTED_VERSION)",
            "the driver of the NPU is missing or older than this OpenVINO",
            "update the driver of the NPU",
        ),
        Symptom(
            r"CL_OUT_OF_RESOURCES|CL_MEM_OBJECT_ALLOCATION_FAILURE|Exceeded max size of memory",
            "the GPU has not enough memory",
            "use a smaller picture, or openvino:cpu",
        ),
        Symptom(
            r"Unsupported inference precision is selected",
            "this device of OpenVINO does not compute in the precision that the option asks for",
            "leave the option precision out",
        ),
        Symptom(
            r"Invalid provider_option key",
            "OpenVINO does not know one of the options",
            "leave the option out",
        ),
    ),
    driver=(
        "/usr/lib/x86_64-linux-gnu/intel-opencl/libigdrcl.so",
        "/usr/lib/x86_64-linux-gnu/libze_intel_npu.so*",
        "C:/Windows/System32/DriverStore/FileRepository/iigd*",
        "C:/Windows/System32/DriverStore/FileRepository/npu*",
    ),
    ran="x86-64 (AMD EPYC), CPU only",
)

_CONFIG: Final = {"precision": "INFERENCE_PRECISION_HINT", "cache_dir": "CACHE_DIR"}


def plugin_options(options: Mapping[str, str], unit: str) -> dict[str, str]:
    """The same options as the plug-in takes them: those of OpenVINO itself as JSON for the unit, in ``load_config``. It
    ignores the names of the build (1.8.1 says so)."""
    told = {
        _CONFIG[name]: "f32" if value == "ACCURACY" else value for name, value in options.items() if name in _CONFIG
    }
    others = {name: value for name, value in options.items() if name not in _CONFIG}
    return {**others, "load_config": json.dumps({unit.upper(): told})} if told else others
