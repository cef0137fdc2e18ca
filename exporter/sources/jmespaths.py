"""JMESPath expressions in settings."""

from typing import Annotated, Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.visitor import TreeInterpreter
from pydantic import AfterValidator

_interpreter: Final = TreeInterpreter()
"""One for all: each that :func:`jmespath.search` makes is a cycle, which lies about until garbage is collected."""


def search(expression: str, document: object) -> Any:
    """Return what a JMESPath expression finds in a document; None if nothing. Raises JMESPathError."""
    return _interpreter.visit(jmespath.compile(expression).parsed, document)


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"{text!r} is not JMESPath: {str(error).splitlines()[0]}") from None
    return text


Expression = Annotated[str, AfterValidator(_expression)]
"""A JMESPath expression, checked when the configuration is read."""
