"""JMESPath expressions in settings."""

from typing import Annotated

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator


def _expression(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"{text!r} is not JMESPath: {str(error).splitlines()[0]}") from None
    return text


Expression = Annotated[str, AfterValidator(_expression)]
"""A JMESPath expression, checked when the configuration is read."""
