from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def miniature() -> str:
    """The text of a recipe that takes seconds; one worker."""
    return Path(__file__).with_name("miniature.toml").read_text()
