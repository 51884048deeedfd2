import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.models import file_guard

PIECES = [
    "..",
    ".",
    "/",
    "\\",
    "a",
    "b c",
    "C:",
    "CON",
    "nul.txt",
    " ",
    "\0",
    "~",
    "%",
    ":",
    "é",
    "\ud800",
    "...",
    "//",
]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.png", ("a.png",)),
        ("sub/a", ("sub", "a")),
        ("sub\\a", ("sub", "a")),
        ("./sub//a/", ("sub", "a")),
        ("sub/../a", ("a",)),
        ("", ()),
        (".", ()),
        ("a/..", ()),
        ("~/a", ("~", "a")),
        (".hidden", (".hidden",)),
        ("console/auxiliary", ("console", "auxiliary")),
        ("日本/é a", ("日本", "é a")),
    ],
)
def test_split(name: str, parts: tuple[str, ...]) -> None:
    assert file_guard.split(name) == parts


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("..", "leads out"),
        ("../a", "leads out"),
        ("..\\a", "leads out"),
        ("a/../../b", "leads out"),
        ("/etc/passwd", "absolute"),
        ("\\\\server\\share", "absolute"),
        ("C:\\x", "drive"),
        ("c:x", "drive"),
        ("a\0b", "NUL"),
        ("CON", "device"),
        ("sub/aux", "device"),
        ("nul.png", "device"),
        ("LPT1 .txt/x", "device"),
        ("COM¹", "device"),
        ("a/.. /b", "way up"),
        ("a/.../b", "way up"),
        ("\ud800", "surrogate"),
    ],
)
def test_split_refuses(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        file_guard.split(name)


def test_a_colon_is_refused_only_where_it_names_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_guard, "_ON_WINDOWS", False)
    assert file_guard.split("at 12:30") == ("at 12:30",)
    monkeypatch.setattr(file_guard, "_ON_WINDOWS", True)
    with pytest.raises(ValueError, match="hidden stream"):
        file_guard.split("at 12:30")


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
def test_what_split_returns_stays_inside(name: str) -> None:
    try:
        parts = file_guard.split(name)
    except ValueError:
        return
    joined = os.path.normpath("/".join(("/root", *parts)))
    assert joined == "/".join(("/root", *parts))


def test_below_follows_links_inside_and_refuses_those_that_lead_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (tmp_path / "root2").mkdir()
    (root / "in").symlink_to(root / "sub")
    (root / "out").symlink_to(tmp_path / "root2")
    assert file_guard.below(root, ("in", "a")) == root / "in" / "a"
    assert file_guard.below(root, ("new", "a")) == root / "new" / "a"
    for parts in [("out",), ("out", "a"), ("sub", "..", "..", "root2")]:
        with pytest.raises(ValueError, match="out of the folder"):
            file_guard.below(root, parts)


def test_the_root_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert file_guard.below(tmp_path / "root", ("a",)) == tmp_path / "real" / "a"
