"""Where models and files are, and what runs where: flags first, then ONNXFLOW_MODELS, then a configuration file, then
the working folder."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onnxflow.errors import UsageError, did_you_mean
from onnxflow.models.extra_paths import read_extra_paths
from onnxflow.models.folders import NO_EXTRA, ExtraPaths
from onnxflow.models.store import ModelStore, renamed

FILE_NAME = "onnxflow.toml"
MODELS_VARIABLE = "ONNXFLOW_MODELS"
EXTRA_VARIABLE = "ONNXFLOW_EXTRA_MODEL_PATHS"
_KEYS = ("models", "extra_model_paths", "map_model", "input_dir", "output_dir", "place", "custom_nodes")
_LISTS = ("models", "extra_model_paths", "custom_nodes")
_TABLES = {
    "place": 'write [place] and below it unet = "cuda:0"',
    "map_model": 'write [map_model] and below it "old.ckpt" = "new"',
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Model folders in order of precedence, the folders that file names in workflows are relative to, the machine's
    profile (the device of each component, as texts), the folders that an extra_model_paths.yaml adds, and the models
    that are taken for others; the folders of node packs, and whether other people's nodes are loaded at all."""

    models: tuple[Path, ...]
    input_dir: Path
    output_dir: Path
    place: Mapping[str, str] = field(default_factory=dict)
    extra: ExtraPaths = NO_EXTRA
    map_model: Mapping[str, str] = field(default_factory=dict)
    custom_nodes: tuple[Path, ...] = ()
    plugins: bool = True


def load_settings(
    models: Sequence[Path] = (),
    input_dir: Path | None = None,
    output_dir: Path | None = None,
    *,
    extra: Sequence[Path] = (),
    map_model: Sequence[str] = (),
    custom_nodes: Sequence[Path] | None = (),
    environment: Mapping[str, str],
    working_dir: Path,
) -> Settings:
    """The settings in force, ``map_model`` as "OLD=NEW"; UsageError for a folder that is not there or a configuration
    file that cannot be used.

    The configuration file is ``onnxflow.toml`` in the working folder, else in the user's configuration folder; paths in
    it are relative to it. ``custom_nodes`` None means none; without any, those of the file, else the folder of that
    name in the working folder.
    """
    for folder in models:
        if not _is_dir(folder):
            raise UsageError(
                f"--models {folder}: there is no such folder", hint="name a folder that holds checkpoints/"
            )
    if input_dir is not None and not _is_dir(input_dir):
        raise UsageError(f"--input-dir {input_dir}: there is no such folder", hint="name the folder of your pictures")
    listed = environment.get(MODELS_VARIABLE, "")
    from_environment = [Path(os.path.expanduser(part)) for part in listed.split(os.pathsep) if part]
    for folder in from_environment:
        if not _is_dir(folder):
            raise UsageError(f"{MODELS_VARIABLE} names {folder}, which is no folder", hint="correct or unset it")
    from_file = _read_file(environment, working_dir)
    roots = [*models, *from_environment, *from_file.get("models", ())]
    default = working_dir / "models"
    if _is_dir(default):
        roots.append(default)
    return Settings(
        models=tuple(dict.fromkeys(root.absolute() for root in roots)),
        input_dir=(input_dir or from_file.get("input_dir") or working_dir / "input").absolute(),
        output_dir=(output_dir or from_file.get("output_dir") or working_dir / "output").absolute(),
        place=from_file.get("place", {}),
        extra=read_extra_paths([*extra, *_extra_in(environment), *from_file.get("extra_model_paths", ())], environment),
        custom_nodes=_packs(custom_nodes, from_file.get("custom_nodes"), working_dir),
        plugins=custom_nodes is not None,
        map_model={**from_file.get("map_model", {}), **dict(map(_mapped, map_model))},
    )


def _packs(named: Sequence[Path] | None, from_file: Sequence[Path] | None, working_dir: Path) -> tuple[Path, ...]:
    """The folders of node packs; UsageError for one that was named and is not there."""
    if named is None:
        return ()
    default = working_dir / "custom_nodes"
    folders = named or (from_file if from_file is not None else [default] if _is_dir(default) else [])
    for folder in folders:
        if not _is_dir(folder):
            raise UsageError(
                f"custom nodes: there is no folder {folder}", hint="name a folder as ComfyUI's custom_nodes"
            )
    return tuple(dict.fromkeys(folder.absolute() for folder in folders))


def store_of(settings: Settings) -> ModelStore:
    """The models there are."""
    return ModelStore(settings.models, settings.extra, renamed(settings.map_model))


def _extra_in(environment: Mapping[str, str]) -> list[Path]:
    listed = environment.get(EXTRA_VARIABLE, "")
    return [Path(os.path.expanduser(part)) for part in listed.split(os.pathsep) if part]


def _mapped(text: str) -> tuple[str, str]:
    """The two names in "OLD=NEW"; UsageError."""
    old, equals, new = text.partition("=")
    if not equals or not old.strip() or not new.strip():
        raise UsageError(f"--map-model {text!r} is no pair of names", hint="write it as --map-model old.ckpt=new")
    return old.strip(), new.strip()


def user_file(environment: Mapping[str, str]) -> Path:
    """The configuration file in the user's own configuration folder (XDG on Linux and macOS, APPDATA on Windows)."""
    base = environment.get("XDG_CONFIG_HOME") or environment.get("APPDATA")
    return Path(base or os.path.expanduser("~/.config")) / "onnxflow" / FILE_NAME  # as it is, of a user without a home


def _read_file(environment: Mapping[str, str], working_dir: Path) -> dict[str, Any]:
    for path in (working_dir / FILE_NAME, user_file(environment)):
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            break
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (tomllib.TOMLDecodeError, ValueError, OSError, RecursionError) as error:
            raise UsageError(f"the configuration file cannot be read: {error}", where=str(path)) from None
    else:
        return {}
    for key in document:
        if key not in _KEYS:
            raise UsageError(
                f"the configuration file has an unknown key {key!r}",
                where=str(path),
                hint=did_you_mean(key, _KEYS, what="keys"),
            )
    found: dict[str, Any] = {}
    for key, value in document.items():
        if key in _TABLES:
            if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
                raise UsageError(
                    f"the configuration file's {key} is {value!r}, expected a table of texts",
                    where=str(path),
                    hint=_TABLES[key],
                )
            found[key] = value
            continue
        texts = value if key in _LISTS else [value]
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            wanted = "a list of texts" if key in _LISTS else "a text"
            raise UsageError(f"the configuration file's {key} is {value!r}, expected {wanted}", where=str(path))
        folders = [path.parent / os.path.expanduser(text) for text in texts]
        found[key] = folders if key in _LISTS else folders[0]
    for folder in found.get("models", ()):
        if not _is_dir(folder):
            raise UsageError(f"the configuration file names {folder}, which is no folder", where=str(path))
    return found


def _is_dir(path: Path) -> bool:
    """Whether ``path`` is a folder; a name that the system refuses is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False
