"""What ran where, as reports and pictures carry it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

from onnxflow.cli.json_events import JsonEvents
from onnxflow.cli.summary import fallen_back, print_details, print_summary
from onnxflow.engine.plan import Plan
from onnxflow.engine.record import described, node_shares, record, time_shares
from onnxflow.engine.report import RunReport
from onnxflow.engine.uses import since
from onnxflow.providers.device import parse_device
from onnxflow.providers.graph import Facts
from onnxflow.providers.session import SessionUse

CUDA_EP, CPU_EP = "CUDAExecutionProvider", "CPUExecutionProvider"


def use(
    device: str = "cuda:0", nodes: dict[str, int] | None = None, *, calls: int = 2, seconds: float = 1.0, **more: Any
) -> SessionUse:
    facts = {key: more.pop(key) for key in ("elsewhere", "time_shares", "first_seconds") if key in more}
    return SessionUse(
        "mine", "unet", "fp16", parse_device(device), calls=calls, run_seconds=seconds,
        facts=Facts(nodes or {}, **facts), **more,
    )  # fmt: skip


def printed(*uses: SessionUse) -> tuple[list[str], list[str]]:
    report = RunReport("id", (), uses, 1.0, {}, Plan((), ()), {})
    streams = io.StringIO(), io.StringIO()
    print_summary(report, streams[0])
    print_details(report, streams[1])
    return tuple(stream.getvalue().splitlines() for stream in streams)  # type: ignore[return-value]


def test_the_device_is_what_ran_and_not_what_was_asked_for() -> None:
    whole = {CUDA_EP: 90, CPU_EP: 10}
    assert use(nodes=whole).device == "cuda:0", "the CPU computes sizes"
    assert use(nodes=whole, elsewhere={"Conv": 3}).device == "cuda:0 + cpu"
    assert use(nodes={CPU_EP: 100}, elsewhere={"Conv": 40}).device == "cpu"
    assert use().device == "cuda:0", "nothing is known of its nodes"
    assert use(nodes={CUDA_EP: 9, "NewExecutionProvider": 1}, elsewhere={"Conv": 1}).device == (
        "cuda:0 + NewExecutionProvider"
    )


def test_shares_of_nodes_and_of_time() -> None:
    split = use(nodes={CUDA_EP: 75, CPU_EP: 25}, seconds=3.0, time_shares={CUDA_EP: 0.5, CPU_EP: 0.5})
    assert node_shares(split) == {"cuda": 0.75, "cpu": 0.25} and node_shares(use()) == {}
    assert time_shares([split, use("cpu", seconds=1.0)]) == {"cpu": 2.5 / 4, "cuda": 1.5 / 4}
    assert list(time_shares([split, use("cpu", seconds=1.0)])) == ["cpu", "cuda"], "most first"
    assert time_shares([]) == {} and time_shares([use(seconds=0.0)]) == {}


def test_a_picture_carries_request_and_truth_in_whole_percents() -> None:
    fallen = use("cpu", {CPU_EP: 3}, asked="cuda:0 (--place)", note="took 3 of 9")
    split = use(nodes={CUDA_EP: 2, CPU_EP: 1}, seconds=3.0)
    found = record([fallen, split, use("webgpu", calls=0)])
    assert [(one["asked"], one["device"], one["nodes"], one.get("note")) for one in found["sessions"]] == [
        ("cuda:0 (--place)", "cpu", {"cpu": 100}, "took 3 of 9"),
        ("auto", "cuda:0", {"cuda": 67, "cpu": 33}, None),
    ]
    assert found["time"] == {"cuda": 75, "cpu": 25}
    assert json.loads(json.dumps(found)) == found
    assert record([]) == {} and record([use(calls=0)]) == {}


def test_a_report_has_the_measured_shares_and_what_was_left_to_others() -> None:
    found = described(
        use(nodes={CUDA_EP: 2, CPU_EP: 1}, elsewhere={"Conv": 1}, time_shares={CUDA_EP: 2 / 3, CPU_EP: 1 / 3})
    )
    assert (found["nodes"], found["elsewhere"]) == ({"cuda": 2, "cpu": 1}, {"Conv": 1})
    assert found["time"] == {"cuda": 0.6667, "cpu": 0.3333}
    plain = described(use())
    assert not {"time", "elsewhere", "note"} & plain.keys() and plain["asked"] == "auto"
    assert json.loads(json.dumps(found)) == found


def test_a_summary_says_in_one_line_what_is_not_as_asked() -> None:
    fallen = use("cpu", {CPU_EP: 3}, asked="cuda:0 (--place)", note="took\n3 of 9")
    line = r"unet: asked for cuda:0 (--place), ran in fp16 on cpu: took\n3 of 9"
    split = use(nodes={CUDA_EP: 3, CPU_EP: 1}, elsewhere={"Conv": 1}, asked="cuda:0")
    left = "unet: asked for cuda:0, which left 1 Conv to others (nodes: 75% cuda, 25% cpu)"
    never = use("webgpu", calls=0, seconds=0.0, note="never ran")
    assert fallen_back([fallen, split, use(asked="cuda:0"), never]) == [line, left]
    summary, details = printed(fallen, split, never)
    assert summary == ["done in 1.0 s  (unet: fp16 on cpu; unet: fp16 on cuda:0 + cpu)"]
    assert any("asked for cuda:0 (--place)" in text and "load" in text for text in details)
    assert details[-1] == "  time in networks: 50% cpu, 50% cuda, 0% webgpu"


def test_nobodys_time_is_that_of_who_took_nothing() -> None:
    nothing = use("cuda:0", {CPU_EP: 300}, elsewhere={"Conv": 98})
    assert time_shares([nothing]) == {"cpu": 1.0}
    assert record([nothing])["time"] == {"cpu": 100}


def test_the_same_reason_of_several_sessions_stands_in_one_line() -> None:
    uses = [use("cpu", {CPU_EP: 3}, asked="cuda:0", note="it is not here") for _ in range(4)]
    uses = [
        replace(one, component=name) for one, name in zip(uses, ("text_encoder", "unet", "unet", "vae"), strict=True)
    ]
    other = replace(uses[0], variant="int8")
    assert fallen_back([*uses, other]) == [
        "text_encoder, unet, vae: asked for cuda:0, ran in fp16 on cpu: it is not here",
        "text_encoder: asked for cuda:0, ran in int8 on cpu: it is not here",
    ]


def test_what_a_node_did_is_what_was_added_since_it_began() -> None:
    first, second = use(calls=2, seconds=3.0), replace(use("cpu", calls=1), component="vae_decoder")
    later = (replace(first, calls=5, run_seconds=4.5), second, use("webgpu", calls=0))
    assert [(one.component, one.calls, one.run_seconds) for one in since((first,), later)] == [
        ("unet", 3, 1.5), ("vae_decoder", 1, 1.0),
    ]  # fmt: skip
    assert since(later, later) == () and since((), ()) == ()


def test_json_marks_what_an_earlier_turn_did_and_does_not_count_its_time() -> None:
    cached, ran = replace(use("cpu", calls=4), component="text_encoder"), use()
    report = RunReport("id", (), (ran, cached), 1.0, {}, Plan((), ()), {}, (cached,))
    stream = io.StringIO()
    JsonEvents(stream).report(report)
    data = json.loads(stream.getvalue())["data"]
    assert [(one["component"], one["calls"], one.get("cached")) for one in data["sessions"]] == [
        ("unet", 2, None), ("text_encoder", 4, True),
    ]  # fmt: skip
    assert data["time"] == {"cuda": 1.0}
    details = io.StringIO()
    print_details(report, details)
    assert "cached  run  mine text_encoder (fp16, cpu)" in details.getvalue()
