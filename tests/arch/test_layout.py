"""The repository's layout and the rules a file can be read for: its place, its length, its names, its words."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {
    *(
        ".ci",
        ".gitignore",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
        "NOTICE",
        "README.md",
        "constraints",
        "distributions",
        "docs",
        "export",
    ),
    *("onnxflow", "providers", "pyproject.toml", "scripts", "tests", "workflows"),
}
LONGEST = 400
VAGUE = ("Manager", "Helper", "Util", "Handler")
PACKAGES = {"onnxflow": "onnxflow", "onnxflow.export": "export", "onnxflow.providers": "providers"}


def project_files() -> list[Path]:
    """What the repository holds: tracked files and new ones that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


FILES = project_files()
CODE = [path for path in FILES if path.suffix == ".py"]
TEXTS = [path for path in FILES if path.suffix in {".py", ".toml", ".txt", ".md", ".yaml", ".yml", ".ini", ""}]


SHIPPED = [path for path in CODE if path.relative_to(ROOT).parts[0] in PACKAGES.values()]
UNFINISHED = r"\b(?:TO" + r"DO|FIX" + r"ME|NotImplemented" + r"Error)\b"
ONE_MACHINE = r"(?<![\w}])/(?:work|root|home/\w+|opt)/|py" + r"pi\.org|python" + r"hosted\.|deb" + r"\.debian\."


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_top_level_is_fixed() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} <= TOP_LEVEL


def test_every_package_is_listed_for_setuptools() -> None:
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"])
    found = {"onnxflow.workflows"}
    for package, folder in PACKAGES.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join([package, *init.parent.relative_to(ROOT / folder).parts]))
    assert found == listed


def test_code_lies_in_packages() -> None:
    assert [name(path) for path in SHIPPED if not (path.parent / "__init__.py").is_file()] == []


def test_files_are_short() -> None:
    lengths = {name(path): len(path.read_text("utf-8").splitlines()) for path in CODE}
    assert {path: lines for path, lines in lengths.items() if lines > LONGEST} == {}, "aim under 300: split by subject"


def test_names_say_what_a_thing_is() -> None:
    named = [(name(path), path.stem.replace("_", " ").title().replace(" ", "")) for path in SHIPPED]
    for path in SHIPPED:
        classes = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ClassDef)]
        named += [(name(path), found.name) for found in classes]
    assert [(path, word) for path, word in named if word.removesuffix("s").endswith(VAGUE)] == []


def test_every_module_says_what_it_is() -> None:
    assert [name(path) for path in SHIPPED if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []


def test_nothing_is_unfinished() -> None:
    found = {name(path): re.findall(UNFINISHED, path.read_text("utf-8")) for path in TEXTS}
    assert {path: words for path, words in found.items() if words} == {}


def test_nothing_names_one_machine_or_a_registry() -> None:
    found = {name(path): re.findall(ONE_MACHINE, path.read_text("utf-8")) for path in TEXTS}
    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UNFINISHED, "# TO" + "DO: later"),
        (UNFINISHED, "raise NotImplemented" + "Error"),
        (ONE_MACHINE, 'open("/wo' + 'rk/x")'),
        (ONE_MACHINE, "https://py" + "pi.org/simple"),
    ],
)
def test_patterns_find_what_they_are_for(pattern: str, text: str) -> None:
    assert re.findall(pattern, text)
