"""Reading a small TOML file into a closed model, with errors that name the file, the line and the key."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from latchstring.endpoint.errors import SettingsFileError

MAX_BYTES: Final = 64 * 1024

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """Return what the file says; a file that does not exist says nothing, which is all defaults.

    Raises:
        SettingsFileError: it cannot be read or meant.
    """
    text, document = read_document(path)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise SettingsFileError(_explain(path, text, error)) from error


def read_document(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the text of a TOML file, and what it says, whatever that means.

    Raises:
        SettingsFileError: it cannot be read, or is not TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise SettingsFileError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise SettingsFileError(f"{path} is longer than {MAX_BYTES} bytes")
    try:
        text = data.decode()
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also of numbers that are too long
        raise SettingsFileError(f"{path} is not TOML: {error}") from error


def _explain(path: Path, text: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in first["loc"]]
    key = ".".join(place) or "the file"
    line = _find_line(text, place)
    where = f"{path}, line {line}" if line is not None else str(path)
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no setting {key}; remove it"
    return f"{where}: {key}: {first['msg'].removeprefix('Value error, ')}"


def _find_line(text: str, place: list[str]) -> int | None:
    """Return the number of the line that sets the innermost part of ``place`` that has one."""
    for part in reversed(place):
        pattern = re.compile(rf"""\s*\[?\s*["']?{re.escape(part)}["']?\s*(?:[=\].]|$)""")
        for number, line in enumerate(text.splitlines(), start=1):
            if pattern.match(line):
                return number
    return None
