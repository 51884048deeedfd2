"""docs/providers.md has every provider of the catalog, with the commands that bring it and where it was run."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.provider import Provider

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("|")]


def rows_of(provider: Provider) -> list[list[str]]:
    """The cells of the rows that are about a provider."""
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in ROWS]
    return [row for row in cells if f"`{provider.name}" in row[0]]


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_provider_has_its_command_and_says_where_it_ran(provider: Provider) -> None:
    install = next(row for row in rows_of(provider) if len(row) == 4 and row[3] not in ("", "what it compiles is kept"))
    for wheel in provider.wheels:
        if wheel.install:
            assert f"`{wheel.install}`" in install[2]
    assert install[3] == (provider.ran or "never")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_provider_has_its_precisions_and_sizes(provider: Provider) -> None:
    row = next(row for row in rows_of(provider) if row[1].startswith(("fp", "int8")))
    wanted = list(provider.precisions)
    # Where several share a row, it is a row of what they have in common.
    assert [name for name in row[1].split(", ") if name in wanted] == wanted[: len(row[1].split(", "))]
    assert ("fixed" in row[2]) is bool(provider.fixed)
    kept = {"engines", "models", "blobs", "EPContext models"}
    assert (row[3] in kept) is bool(provider.cache or provider.context)
