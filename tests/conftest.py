"""For all tests: the installed package is what is imported, a slow machine is no failure, and the user's cache of what
was found out about devices is neither read nor written."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A child python started in the repository's folder would otherwise find onnxflow/ there, without export and providers.
os.environ["PYTHONSAFEPATH"] = "1"

settings.register_profile("onnxflow", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("onnxflow")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder of this session's own for the cache, also of the processes that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNXFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
