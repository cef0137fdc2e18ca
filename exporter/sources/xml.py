"""XML from servers: without entities and namespaces."""

from typing import Any, Final
from xml.etree import ElementTree as ET

from exporter.model.failures import Failure, Reason

_ADVICE: Final = "try url with curl: it must answer the market's XML"


def parse_xml(text: str) -> ET.Element:
    """Read a document without its namespaces. Raises a Failure for text that is not XML, or defines entities."""
    if not text.strip():
        raise Failure(Reason.GARBLED, "the server answered with an empty body instead of XML", advice=_ADVICE)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Failure(Reason.GARBLED, "the XML defines entities, which no price needs", advice=_ADVICE)
    try:
        root = ET.fromstring(text)  # noqa: S314
    except (ET.ParseError, ValueError):
        detail = f"the server answered {len(text)} characters that are not XML"
        raise Failure(Reason.GARBLED, detail, advice=_ADVICE) from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def text_of(element: ET.Element, path: str) -> str:
    """Return the text of the child at ``path``. Raises ValueError if there is none."""
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no {path} in {element.tag}")
    return text.strip()


def as_document(element: ET.Element) -> Any:
    """Return an element as JSON would have it: children by name, a list if a name is repeated, else its text."""
    if not len(element):
        return (element.text or "").strip() or None
    document: dict[str, Any] = {}
    for child in element:
        value = as_document(child)
        if child.tag not in document:
            document[child.tag] = value
        elif isinstance(document[child.tag], list):
            document[child.tag].append(value)
        else:
            document[child.tag] = [document[child.tag], value]
    return document
