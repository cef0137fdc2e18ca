"""Reading XML that strangers send."""

from xml.etree import ElementTree as ET

from exporter.model.failures import Failure, Reason


def parse_xml(text: str) -> ET.Element:
    """Read a document and take off its namespaces. Raises a Failure for what is no XML, or defines entities."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise Failure(Reason.GARBLED, "the XML defines entities")
    try:
        root = ET.fromstring(text)  # noqa: S314
    except (ET.ParseError, ValueError):
        raise Failure(Reason.GARBLED, f"answered {len(text)} characters that are not XML") from None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def text_of(element: ET.Element, path: str) -> str:
    """Give the text of the child at ``path``. Raises ValueError where there is none."""
    text = element.findtext(path)
    if text is None:
        raise ValueError(f"no {path} in {element.tag}")
    return text.strip()
