"""What SDXL's denoiser is told besides the text, and that every sample of a shared call is told its own."""

import numpy as np
import pytest

from onnxflow.errors import InputError
from onnxflow.sampling import discrete_sampling
from onnxflow.sampling.guidance import CfgDenoiser, Term, terms
from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.told import NOTHING, Told, told_of_sdxl
from onnxflow.values import Array, Cond, Conditioning

SD = discrete_sampling()


def condition(value: float, **options: object) -> Cond:
    return Cond(np.full((1, 77, 8), value, np.float32), np.full((1, 5), value, np.float32), options)


def test_sdxl_is_told_the_prompt_as_a_whole_and_the_size_of_the_picture() -> None:
    tell = told_of_sdxl(1024, 768, refiner=False, pooled_width=5)
    told = tell(condition(3), False)
    assert (told["text_embeds"] == np.full((1, 5), 3)).all()
    assert told["time_ids"].tolist() == [[768, 1024, 0, 0, 768, 1024]]
    assert told["time_ids"].dtype == np.float32
    options = {"width": 100, "height": 200, "crop_w": 3, "crop_h": 4, "target_width": 500, "target_height": 600}
    assert tell(condition(3, **options), True)["time_ids"].tolist() == [[200, 100, 4, 3, 600, 500]]
    assert tell(condition(3, width=100, height=200), True)["time_ids"].tolist() == [[200, 100, 0, 0, 200, 100]]


def test_the_refiner_is_told_a_score_instead_of_the_size_wanted() -> None:
    tell = told_of_sdxl(1024, 768, refiner=True, pooled_width=5)
    assert tell(condition(3), False)["time_ids"].tolist() == [[768, 1024, 0, 0, 6]]
    assert tell(condition(3), True)["time_ids"].tolist() == [[768, 1024, 0, 0, 2.5]]
    assert tell(condition(3, aesthetic_score=9.0), True)["time_ids"].tolist() == [[768, 1024, 0, 0, 9]]


def test_a_condition_of_another_model_and_a_size_that_is_none_are_refused() -> None:
    with pytest.raises(InputError, match="a pooled output 5 wide, the network takes one 6 wide"):
        told_of_sdxl(64, 64, refiner=False, pooled_width=6)(condition(1), False)
    with pytest.raises(InputError, match="no pooled output"):
        told_of_sdxl(64, 64, refiner=False, pooled_width=5)(Cond(np.zeros((1, 77, 8), np.float32)), False)
    with pytest.raises(InputError, match="crop_w of a condition is 'left'"):
        told_of_sdxl(64, 64, refiner=False, pooled_width=5)(condition(1, crop_w="left"), False)


class Listening:
    """A denoiser that keeps what it is told."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Told]] = []
        self.model_sampling: ModelSampling = SD

    def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
        self.heard.append((len(x), told))
        return x


def test_every_sample_of_a_shared_call_is_told_its_own() -> None:
    tell = told_of_sdxl(64, 32, refiner=True, pooled_width=5)
    positive = terms(Conditioning((condition(1),)), SD, tell)
    negative = terms(Conditioning((condition(2),)), SD, tell, negative=True)
    listening = Listening()
    x = np.zeros((2, 4, 4, 8), np.float32)
    CfgDenoiser(listening, positive, negative, 3.0)(x, np.float32(1))
    ((rows, told),) = listening.heard
    assert rows == 4
    assert told["text_embeds"][:, 0].tolist() == [2, 2, 1, 1]  # negative ones first
    assert told["time_ids"][:, 4].tolist() == [2.5, 2.5, 6, 6]
    listening.heard.clear()
    CfgDenoiser(listening, positive, negative, 3.0, max_batch=3)(x, np.float32(1))
    assert [told["text_embeds"][:, 0].tolist() for _, told in listening.heard] == [[2, 2, 1], [1]]


def test_terms_that_are_told_different_things_do_not_share_a_call() -> None:
    listening = Listening()
    plain, other = (Term(np.zeros((1, 77, 8), np.float32), told=told) for told in ({}, {"a": np.ones((1, 2))}))
    CfgDenoiser(listening, [plain], [other], 3.0)(np.zeros((1, 4, 4, 4), np.float32), np.float32(1))
    assert sorted(len(told) for _, told in listening.heard) == [0, 1]
