"""The numbers of the types that checkpoints store."""

from onnxflow.models.element_types import STORED
from onnxflow.models.tensor_header import ITEM_BYTES


def test_every_stored_type_has_the_number_that_onnx_has_for_it() -> None:
    assert STORED.keys() == ITEM_BYTES.keys()
    names = {1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64"}
    names |= {12: "U32", 13: "U64", 16: "BF16", 17: "F8_E4M3", 19: "F8_E5M2"}
    assert {number: kind for kind, number in STORED.items()} == names
