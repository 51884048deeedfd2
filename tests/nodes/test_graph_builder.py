"""Building the nodes that a node has run in its place."""

from __future__ import annotations

from onnxflow.nodes.graph_builder import GraphBuilder, add_graph_prefix, is_link


def test_ids_begin_with_the_running_node_and_are_used_once() -> None:
    GraphBuilder.set_default_prefix("7", 2)
    first, second = GraphBuilder(), GraphBuilder()
    assert first.node("A").id == "7.2.0.1" and first.node("A").id == "7.2.0.2"
    assert second.node("A", "name").id == "7.2.1.name"
    assert GraphBuilder("own:").node("A").id == "own:1"
    GraphBuilder.set_default_prefix("8", 0)
    assert GraphBuilder().prefix == "8.0.0."


def test_a_graph_in_the_api_format() -> None:
    graph = GraphBuilder("p.")
    one = graph.node("One", value=3)
    two = graph.node("Two", "two", image=one.out(1), gone=None)
    two.set_input("other", 5)
    two.set_input("gone", None)
    two.set_override_display_id("9")
    assert two.get_input("other") == 5 and graph.lookup_node("two") is two and graph.lookup_node("x") is None
    assert graph.finalize() == {
        "p.1": {"class_type": "One", "inputs": {"value": 3}},
        "p.two": {"class_type": "Two", "inputs": {"image": ["p.1", 1], "other": 5}, "override_display_id": "9"},
    }


def test_outputs_are_replaced_and_nodes_removed() -> None:
    graph = GraphBuilder("")
    graph.node("One", "a")
    reader = graph.node("Two", "b", x=["a", 0], y=["a", 1], z=["a", 0])
    graph.replace_node_output("a", 0, ["c", 2])
    assert reader.inputs == {"x": ["c", 2], "y": ["a", 1], "z": ["c", 2]}
    graph.replace_node_output("c", 2, None)
    graph.remove_node("a")
    assert reader.inputs == {"y": ["a", 1]} and list(graph.finalize()) == ["b"]


def test_prefixes_are_added() -> None:
    graph, outputs = add_graph_prefix(
        {"a": {"class_type": "A", "inputs": {"x": ["b", 0], "n": 1}}}, (["a", 0], 5), "p."
    )
    assert graph == {"p.a": {"class_type": "A", "inputs": {"x": ["p.b", 0], "n": 1}}}
    assert outputs == (["p.a", 0], 5)


def test_links() -> None:
    assert is_link(["a", 0]) and is_link(["a", 1.0])
    assert not any(map(is_link, (["a"], ("a", 0), [1, 0], ["a", "0"], ["a", True], ["a", 0, 0], "a0", None)))
