"""A recipe that makes no sense is refused before anything is trained; what is wrong is said by its name."""

import re
from pathlib import Path

import pytest

from onnxflow.export.tiny_model.config import RECIPE, check_workers, longer, read_recipe

TEXT = RECIPE.read_text(encoding="utf-8")


def changed(tmp_path: Path, pattern: str, to: str) -> Path:
    """The recipe with the one thing that matches replaced."""
    text, count = re.subn(pattern, to, TEXT, flags=re.MULTILINE)
    assert count == 1, pattern
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_recipe_is_read() -> None:
    recipe = read_recipe()
    assert recipe.data.size == 128
    assert recipe.autoencoder.phases[0] == (64, 8, 2600)
    assert longer(recipe, 3).unet.steps == 3 * recipe.unet.steps
    check_workers(recipe, recipe.machine.workers)


@pytest.mark.parametrize(
    ("pattern", "to", "said"),
    [
        (r"^seed = .*\n", "", "missing ['seed']"),
        (r"^seed = .*", 'seed = "one"', "seed is 'one', but must be a whole number"),
        (r"^\[data\]", "[date]", "missing ['data'], unknown ['date']"),
        (r"^heads = 4\nsteps = 1500", "heads = 4", "[text]: missing ['steps'], unknown []"),
        (r"^workers = .*", "workers = 0", "machine.workers is 0, but must be from 1"),
        (r"^workers = .*", "workers = -1", "machine.workers is -1"),
        (r"^threads = .*", "threads = true", "machine.threads is True, but must be a whole number"),
        (r"^size = .*", "size = 100", "data.size is 100, but must be a multiple of 32"),
        (r"^landscapes = .*", "landscapes = 1.5", "data.landscapes is 1.5, but must be from 0 to 1"),
        (r"^jitter = .*", "jitter = nan", "data.jitter is nan"),
        (r"^channels = \[16, 32, 48, 64\]", "channels = [16, 32]", "autoencoder.channels has 2 numbers"),
        (r"^phases = \[\[64, 8, 2600\], \[128, 4, 800\]\]", "phases = [64, 8, 2600]", "a phase of autoencoder.phases"),
        (r"^phases = \[\[64, 8, 2600\], \[128, 4, 600\]\]", "phases = []", "decoder.phases is []"),
        (r"^rounds = 1", "rounds = 1.5", "decoder.rounds is 1.5, but must be a whole number"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_by_name(tmp_path: Path, pattern: str, to: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_recipe(changed(tmp_path, pattern, to))


def test_a_section_must_be_one(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    sections = re.split(r"^\[data\]$.*?(?=^\[)", TEXT, flags=re.MULTILINE | re.DOTALL)
    path.write_text("data = 3\n" + "".join(sections), encoding="utf-8")
    with pytest.raises(ValueError, match="data is 3, but must be a section"):
        read_recipe(path)


def test_a_time_mean_may_be_negative(tmp_path: Path) -> None:
    assert read_recipe(changed(tmp_path, r"^time_mean = [\d.]+", "time_mean = -0.4")).unet.time_mean == -0.4


def test_workers_must_share_every_batch_evenly() -> None:
    with pytest.raises(ValueError, match=r"autoencoder.phases: a batch of 8 cannot be divided between 3 workers"):
        check_workers(read_recipe(), 3)


def test_not_once_is_not_longer() -> None:
    with pytest.raises(ValueError, match="0 times"):
        longer(read_recipe(), 0)
