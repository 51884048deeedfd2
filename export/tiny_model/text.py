"""The text encoder: first trained to tell from a caption alone what its picture shows, then frozen.

Without that the denoiser ignores the text for more than a thousand steps.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from onnxflow.export.tiny_model.captions import caption
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.landscapes import LANDMARKS, LANDS, SIDES, SKIES, Landscape
from onnxflow.export.tiny_model.lineage import data_digest
from onnxflow.export.tiny_model.progress import Log
from onnxflow.export.tiny_model.scenes import (
    BACKGROUNDS,
    COLOURS,
    PLACES,
    RELATIONS,
    SHAPES,
    SIZES,
    Scene,
    Thing,
)
from onnxflow.export.tiny_model.subjects import Subject, training_subject
from onnxflow.export.tiny_model.tokenizer import LENGTH, Tokenizer, train_tokenizer
from onnxflow.export.tiny_model.training import Stage, cosine, step_randomness, train

_NOT_ASKED = -100  # torch's mark for an answer that does not count
_THING = (len(SHAPES) + 1, len(COLOURS) + 1, len(SIZES) + 1, len(PLACES) + 1)  # one more each: nothing, or left open
_BACKGROUND = (len(BACKGROUNDS) + 1, *[len(COLOURS)] * 4, 3)  # colours: two of a pattern, start and end of a gradient
_SCENE = (*_BACKGROUND, len(RELATIONS) + 1, *_THING, *_THING)
_LANDSCAPE = (len(SKIES), len(LANDS), len(LANDMARKS) + 1, len(SIDES) + 1)
QUESTIONS = (*_SCENE, *_LANDSCAPE)  # the first answer's last choice is: a landscape


class CaptionReader(nn.Module):
    """A CLIP text encoder and one linear answer to every question about the picture, read at one place in the text."""

    def __init__(self, encoder: CLIPTextModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleList(nn.Linear(encoder.config.hidden_size, count) for count in QUESTIONS)

    def forward(self, ids: Tensor, places: Tensor) -> list[Tensor]:
        """Logits [b, choices] for every question, of ids [b, s] read at `places` [b]."""
        states = self.encoder(input_ids=ids).last_hidden_state
        read = states[torch.arange(len(ids)), places]
        return [head(read) for head in self.heads]


def make_tokenizer(recipe: Recipe) -> Tokenizer:
    """The tokenizer of this recipe, from twenty thousand captions; the same on every call."""
    rng = np.random.default_rng(recipe.seed + recipe.text.seed_offset)
    texts = [caption(training_subject(rng, recipe.data), rng) for _ in range(20_000)]
    return train_tokenizer(texts, recipe.text.vocabulary)


def build_text_encoder(recipe: Recipe, tokenizer: Tokenizer) -> CLIPTextModel:
    """The untrained encoder, of Stable Diffusion's class."""
    torch.manual_seed(recipe.seed + recipe.text.seed_offset)
    shape = recipe.text
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer.vocabulary),
            hidden_size=shape.hidden,
            intermediate_size=4 * shape.hidden,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            max_position_embeddings=LENGTH,
            projection_dim=shape.hidden,
            bos_token_id=tokenizer.start,
            eos_token_id=tokenizer.end,
            pad_token_id=tokenizer.end,
        )
    )


def train_text_encoder(
    recipe: Recipe, tokenizer: Tokenizer, folder: Path, log: Log, crew: Crew = ALONE, stop_at: int | None = None
) -> CLIPTextModel:
    """Train the encoder as a classifier of captions, or go on training, and return it."""
    shape = recipe.text
    seed = recipe.seed + shape.seed_offset
    reader = CaptionReader(build_text_encoder(recipe, tokenizer))

    def loss(step: int) -> Tensor:
        rng = step_randomness(seed, step)
        subjects = [training_subject(rng, recipe.data) for _ in range(shape.batch)]
        ids, answers, places = (part[crew.share(shape.batch)] for part in read_batch(subjects, tokenizer, rng))
        return mean_of_losses(reader(ids, places), answers)

    optimiser = torch.optim.AdamW(reader.parameters(), lr=shape.learning_rate, weight_decay=1e-2)
    depends = repr((recipe.seed, recipe.data, shape, data_digest()))
    stage = Stage("text", folder / "text.pt", depends, reader, optimiser, cosine(shape.steps, 100), shape.steps)
    train(stage, loss, log, recipe.machine.checkpoint_every, stop_at, crew)
    log(f"text: {_right_share(recipe, reader, tokenizer, seed):.1%} of new captions read without a mistake")
    return reader.encoder


def read_batch(
    subjects: list[Subject], tokenizer: Tokenizer, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Ids [b, 77] of one caption for each subject, the right answers [b, questions], and a place [b] to read them at.

    The place is the end of the text or any of the fillings behind it: a denoiser attends to all of them, and those that
    nobody ever read keep little but the last colour (measured: 60 % of the variance at the last one).
    """
    rows = [tokenizer.encode(caption(subject, rng)) for subject in subjects]
    places = [int(rng.integers(row.index(tokenizer.end), LENGTH)) for row in rows]
    answers = [_answers(subject) for subject in subjects]
    return torch.tensor(rows), torch.tensor(answers), torch.tensor(places)


def mean_of_losses(logits: list[Tensor], answers: Tensor) -> Tensor:
    """Mean over the questions of the mean cross-entropy of their answers; an answer of -100 (not asked) does not count.

    Every question counts the same, however rarely it is asked: the two ends of a gradient are the last thing learnt.
    """
    parts = [F.cross_entropy(part, answers[:, index], reduction="sum") for index, part in enumerate(logits)]
    return (torch.stack(parts) / (answers != _NOT_ASKED).sum(0).clamp(min=1)).mean()


@torch.no_grad()
def text_states(encoder: CLIPTextModel, tokenizer: Tokenizer, texts: list[str], batch: int = 64) -> Tensor:
    """Final-normed hidden states [n, 77, d] of texts: what the denoiser is told."""
    ids = torch.tensor([tokenizer.encode(text) for text in texts])
    return torch.cat([encoder(input_ids=part).last_hidden_state for part in ids.split(batch)])


def _answers(subject: Subject) -> list[int]:
    if isinstance(subject, Landscape):
        return [len(BACKGROUNDS), *([_NOT_ASKED] * (len(_SCENE) - 1)), *_about_landscape(subject)]
    return [*_about_scene(subject), *([_NOT_ASKED] * len(_LANDSCAPE))]


def _about_landscape(landscape: Landscape) -> list[int]:
    landmark = 0 if landscape.landmark is None else 1 + LANDMARKS.index(landscape.landmark)
    side = 1 + SIDES.index(landscape.side) if landscape.side_said and landscape.side else 0
    return [SKIES.index(landscape.sky), LANDS.index(landscape.land), landmark, side]


def _about_scene(scene: Scene) -> list[int]:
    back = scene.background
    colours = [COLOURS.index(back.first), COLOURS.index(back.second) if back.second else _NOT_ASKED]
    if back.kind == "gradient":
        colours = [_NOT_ASKED, _NOT_ASKED, *colours]
    else:  # a caption names the colours of a pattern in any order
        colours = [*(sorted(colours) if back.second else colours), _NOT_ASKED, _NOT_ASKED]
    direction = 0 if not back.direction_said else 1 if back.direction == "horizontal" else 2
    relation = 0 if scene.relation is None else 1 + RELATIONS.index(scene.relation)
    second = scene.things[1] if len(scene.things) > 1 else None
    return [BACKGROUNDS.index(back.kind), *colours, direction, relation, *_about(scene.things[0]), *_about(second)]


def _about(thing: Thing | None) -> list[int]:
    if thing is None:
        return [0, _NOT_ASKED, _NOT_ASKED, _NOT_ASKED]
    size = 0 if thing.size is None else 1 + SIZES.index(thing.size)
    place = 0 if thing.place is None else 1 + PLACES.index(thing.place)
    return [1 + SHAPES.index(thing.shape), 1 + COLOURS.index(thing.colour), size, place]


@torch.no_grad()
def _right_share(recipe: Recipe, reader: CaptionReader, tokenizer: Tokenizer, seed: int) -> float:
    rng = np.random.default_rng(seed + 1_000_000)
    ids, answers, places = read_batch([training_subject(rng, recipe.data) for _ in range(512)], tokenizer, rng)
    given = torch.stack([logits.argmax(1) for logits in reader(ids, places)], 1)
    return float(((given == answers) | (answers == _NOT_ASKED)).all(1).float().mean())
