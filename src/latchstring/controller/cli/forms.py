"""Checks of arguments against the forms of the protocol, so that what is wrong is a usage error."""

from typing import Any

import click


def check_form(form: Any, value: str, parameter: str, meaning: str) -> None:
    """Check ``value`` against ``form``, a type as pydantic takes it.

    Raises:
        click.BadParameter: it has not this form; the message names ``parameter`` and ``meaning``.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415 - keeps --help quick

    try:
        TypeAdapter(form).validate_python(value)
    except ValidationError as error:
        raise click.BadParameter(f"this is not {meaning}", param_hint=parameter) from error
