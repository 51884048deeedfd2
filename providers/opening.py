"""Making an ONNX Runtime session on a device: options, plug-ins, fixed sizes, and what the device took of the graph."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled, ModelError, OnnxflowError, ProviderError
from onnxflow.models.decompose import AttentionError, without_fused_attention
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.plain_products import without_fused_products
from onnxflow.providers.assignment import RECORD_OPTION, Assignment, assignment_of
from onnxflow.providers.cache_folder import digest
from onnxflow.providers.catalog import title_of
from onnxflow.providers.context import ask_for_context, context_file, drop, keep_context
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.failure import is_out_of_memory, loading_error
from onnxflow.providers.loading import DEFAULT, FAST, leave_in_place
from onnxflow.providers.openvino import plugin_options
from onnxflow.providers.optimised import forget, optimised
from onnxflow.providers.plugin import plugin_device, plugin_of, registered
from onnxflow.providers.profile import drop_profile
from onnxflow.providers.provider import FOLDER, Provider
from onnxflow.providers.runtime import log_severity, onnxruntime
from onnxflow.providers.saturation import compute_exactly, saturates
from onnxflow.providers.target import Target

_BESIDE: Final = "session.model_external_initializers_file_folder_path"
"""Session option: where the weights lie of a model that is given as bytes."""

FUSED: Final = "com.microsoft:MultiHeadAttention"
"""What our graphs have for attention; of the providers only those with kernels of ONNX Runtime's own know it."""

FUSED_PRODUCT: Final = "com.microsoft:FusedMatMul"
"""What templates have for products with matrices as files store them."""

FALLBACK_HINT: Final = "name another device, or let it run with --fallback allow, which says so"


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, what took its nodes, the seconds to read and rewrite its file and those to optimise and compile it,
    and the prefix of the files its profiler writes; empty when nothing is profiled."""

    session: Any
    assignment: Assignment
    load_seconds: float
    build_seconds: float
    profile: str = ""


def open_session(
    file: GraphFile, name: str, target: Target, cancel: CancelToken, sizes: Mapping[str, int] | None = None
) -> Opened:
    """The graph in ``file`` on the target's device, with the free dimensions named in ``sizes`` fixed.

    ProviderError when the provider is not there, cannot be used, or left heavy nodes to another one and that was not
    allowed; ModelError for a file that is none; MemoryLimitError; Cancelled.
    """
    if target.device.fixed and target.cache is not None:
        # TensorRT and CoreML tell what they keep by the graph's name, not by its sizes.
        target = replace(target, cache=target.cache / digest(repr(sorted((sizes or {}).items()))))
    context = context_file(target, file.path) if file.data is None else None
    if context is not None and context.is_file():
        try:
            return _open(GraphFile(context), name, target, cancel, {}, compiled=True)
        except (ModelError, ProviderError):  # written by another version, or damaged
            drop(context)
    return _open(file, name, target, cancel, sizes or {}, context)


def _open(
    file: GraphFile,
    name: str,
    target: Target,
    cancel: CancelToken,
    sizes: Mapping[str, int],
    context: Path | None = None,
    *,
    compiled: bool = False,
    kept: bool = True,
) -> Opened:
    """``open_session`` of a graph, whose compiled form goes to ``context``, or of a ``compiled`` one; in the optimised
    form that is ``kept`` on this machine, where one may be."""
    module = onnxruntime()
    device, facts = target.device, target.device.facts
    options = module.SessionOptions()
    options.log_severity_level = log_severity()
    options.add_session_config_entry(*RECORD_OPTION)
    if target.precision.startswith("int8"):
        compute_exactly(options)
    part = ask_for_context(options, context) if context is not None else None
    for dimension, size in sizes.items():
        options.add_free_dimension_override_by_name(dimension, size)
    profile = _profiled(options, facts)
    providers = _providers(options, target)
    started = time.perf_counter()
    model: str | bytes = file.data if file.data is not None else str(file.path)
    if file.data is not None:
        options.add_session_config_entry(_BESIDE, str(file.folder))
    leave_in_place(options, target.loading if file.direct else FAST)
    known = optimised(file, target.precision, _in_place) if kept and not sizes and _may_be_kept(file, target) else None
    if known is not None:
        model = known
        options.add_session_config_entry(_BESIDE, str(file.folder))
        options.graph_optimization_level = module.GraphOptimizationLevel.ORT_DISABLE_ALL
        # As the file has them: by default all weights may be widened before the first of them is used.
        options.execution_order = module.ExecutionOrder.PRIORITY_BASED
    try:
        if not compiled and (target.split or not facts.has(FUSED)):
            model = without_fused_attention(file)
            options.add_session_config_entry(_BESIDE, str(file.folder))
        if file.direct and not compiled and not facts.has(FUSED_PRODUCT):
            model = without_fused_products(model if isinstance(model, bytes) else file.path.read_bytes())
            options.add_session_config_entry(_BESIDE, str(file.folder))
        read = time.perf_counter()
        with cancel.calling(lambda: options.set_load_cancellation_flag(True)):
            # enable_fallback: or the wrapper prints an error, and makes a session on the CPU instead.
            session = module.InferenceSession(model, sess_options=options, enable_fallback=0, **providers)
    except AttentionError as error:
        raise ProviderError(
            f"{name}: {device} has no kernel for this model's attention: {error.message}",
            where=str(file.path),
            hint="place it on the cpu, or export the model again with 'onnxflow export'",
        ) from error
    except OnnxflowError:
        raise
    except Exception as error:  # ONNX Runtime's errors share no base class
        # Its frames hold what was made of the session: memory that the next device may need, and the profiler's file.
        traceback.clear_frames(error.__traceback__)
        drop_profile(profile)
        if part is not None:
            drop(part)
        if cancel.cancelled:
            raise Cancelled() from None
        if known is not None and not is_out_of_memory(error):
            forget(file, target.precision)
            return _open(file, name, target, cancel, sizes, context, kept=False)
        raise loading_error(error, name, file.path, device) from error
    built = time.perf_counter()
    assignment = assignment_of(session)
    if not target.fallback:
        try:
            check_assignment(assignment, device, name)
        except ProviderError:
            del session  # or the error's frames hold it while another device loads the graph
            drop_profile(profile)
            if part is not None:
                drop(part)
            raise
    if part is not None and context is not None:
        keep_context(part, context)
    return Opened(session, assignment, read - started, built - read, profile)


def _may_be_kept(file: GraphFile, target: Target) -> bool:
    """Whether a graph's optimised form holds none of its weights: on the CPU, where they stay in their file as they
    are."""
    stays = file.direct and target.loading != FAST and target.device == CPU and not target.split
    return stays and not (target.precision.startswith("int8") and saturates())


def _in_place() -> Any:
    """The options that a graph is optimised with for weights that stay where they are."""
    options = onnxruntime().SessionOptions()
    options.log_severity_level = log_severity()
    leave_in_place(options, DEFAULT)
    return options


def _providers(options: Any, target: Target) -> dict[str, Any]:
    """What InferenceSession is told of the provider; a plug-in's device is added to the options instead."""
    device, facts = target.device, target.device.facts
    chosen = {**device.options_for(target.precision), **cache_options(facts, target.cache)}
    wheel = plugin_of(facts)
    # ONNX Runtime lists a plug-in that was registered among the providers that it was built with, and makes a session
    # on the CPU for whoever asks for it by that name.
    if facts.ep in onnxruntime().get_available_providers() and not (wheel and registered(facts)):
        if facts.name == "cpu":
            return {"providers": [facts.ep]}
        if facts.name in ("cuda", "tensorrt"):
            _preload()
        return {"providers": [(facts.ep, chosen), "CPUExecutionProvider"]}
    if wheel is None:
        raise not_installed(device)
    chosen.pop(facts.unit_option, None)  # the device says it
    if facts.name == "openvino":
        chosen = plugin_options(chosen, device.unit)
    options.add_provider_for_devices([plugin_device(device, wheel)], chosen)
    return {}


@lru_cache(maxsize=1)
def _preload() -> None:
    """Let ONNX Runtime find the CUDA and cuDNN that pip installed: only its own function looks there."""
    preload = getattr(onnxruntime(), "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find; stdout is for results
            preload()


def not_installed(device: Device) -> ProviderError:
    """That no wheel here has the provider of a device, with the command that brings one."""
    from onnxflow.providers.install import install_command  # it reads what pip wrote, which a run does not need

    facts = device.facts
    here = (sys.platform, _machine())
    fitting = [wheel for wheel in facts.wheels if wheel.install and here in wheel.platforms]
    # A plug-in knows its maker's processors only; the build knows all of its kind.
    fitting = [wheel for wheel in fitting if not (wheel.plugin and facts.hardware.get(device.unit) == "CPU")]
    if fitting:
        commands = [install_command(wheel) for wheel in fitting]
        hint = " or ".join(sorted(commands, key=lambda command: "uninstall" in command))
    elif any(wheel.install for wheel in facts.wheels):
        hint = (
            f"there is no wheel of it for {here[0]} on {here[1]}: name another device; `onnxflow providers` lists them"
        )
    elif facts.wheels:
        hint = f"its maker gives {facts.wheels[0].distribution}, which PyPI does not have: name another device"
    else:
        hint = "it is in no wheel, only in builds of ONNX Runtime of one's own: name another device"
    return ProviderError(f"{device}: {facts.title} is not installed here", hint=hint)


def cache_options(facts: Provider, folder: Path | None) -> dict[str, str]:
    """The options that make a provider keep what it compiles in ``folder``, which is made; none without a folder."""
    if folder is None or not facts.cache:
        return {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return {}  # a read-only home is no reason not to run
    return {key: value.replace(FOLDER, str(folder)) for key, value in facts.cache.items()}


def check_assignment(assignment: Assignment, device: Device, name: str) -> None:
    """ProviderError unless the device's provider took every heavy node."""
    facts = device.facts
    elsewhere = assignment.elsewhere(facts.ep)
    if not elsewhere and (facts.ep in assignment.nodes or not assignment.nodes):
        return
    took = assignment.heavy()
    total = sum(took.values())
    if not took.get(facts.ep):
        others = ", ".join(title_of(ep) for ep in took) or "nothing"
        raise ProviderError(
            f"{name}: {device} took none of its {total} heavy nodes, {others} would run", hint=FALLBACK_HINT
        )
    operators = ", ".join(f"{count} {operator}" for operator, count in elsewhere.items())
    raise ProviderError(
        f"{name}: {device} took {took[facts.ep]} of {total} heavy nodes; {operators} would run elsewhere"
        f" ({', '.join(title_of(ep) for ep in took if ep != facts.ep)})",
        hint=FALLBACK_HINT,
    )


def _profiled(options: Any, facts: Provider) -> str:
    """Let ONNX Runtime's profiler watch the making and the first call where that says something: not on the CPU, which
    takes everything, nor where a call only queues work for a device's own memory."""
    if facts.name == "cpu" or facts.memory:
        return ""
    prefix = os.path.join(tempfile.gettempdir(), f"onnxflow-profile-{os.urandom(8).hex()}")
    options.enable_profiling = True
    options.profile_file_prefix = prefix
    return prefix


def _machine() -> str:
    import platform

    return platform.machine().lower()
