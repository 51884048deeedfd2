from onnxflow.text.last_layer import LastLayer, layer_of


def test_the_last_one_counts() -> None:
    assert layer_of(()) is None
    assert layer_of(("something", LastLayer(-2), LastLayer(-3), "else")) == -3
