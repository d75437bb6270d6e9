"""Matplotlib's SVG as a page can take it: no styles of its own, no names that clash, titles for the pointer."""

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

#: how the name of a part begins whose title a browser shows while the pointer is on it
HOVER = "hover: "
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
#: what XML has no way to write
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: styles that every part inherits from the whole
_WHOLE = {"stroke-linejoin": "round", "stroke-linecap": "butt", "font-family": "DejaVu Sans, Verdana, sans-serif"}
_ROUNDED = re.compile(r"-?\d+\.\d{3,}")


def vector(content: bytes) -> bytes:
    """A file of matplotlib's with attributes in the place of styles, and `<title>` where a part has a hover's name."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(_NO_XML.sub("\ufffd", content.decode("utf-8", "replace")))
    for part in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(part)
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', ElementTree.tostring(root, "unicode")))
    for element in root.iter():
        for sheet in element.findall(f"{{{_SVG}}}style"):
            element.remove(sheet)
        _with_attributes(element)
        name = element.get("id", "")
        if name not in used:
            element.attrib.pop("id", None)
        if name.startswith(HOVER):
            title = SubElement(element, f"{{{_SVG}}}title")
            title.text = name.removeprefix(HOVER)
            element.remove(title)
            element.insert(0, title)
        if "d" in element.attrib:  # a thousandth of a point is seen by nobody
            element.set("d", _ROUNDED.sub(lambda match: f"{float(match[0]):.2f}", element.get("d", "")))
    for key, value in _WHOLE.items():
        root.set(key, value)
    return ElementTree.tostring(root, "unicode", xml_declaration=True).encode()


def _with_attributes(element: Element) -> None:
    """Its style as attributes, which a page's style sheet can override and its policy allows."""
    for part in element.attrib.pop("style", "").split(";"):
        key, _, value = (word.strip() for word in part.partition(":"))
        if key == "font":  # of earlier versions of matplotlib: style, size and families in one
            size = re.search(r"[\d.]+px", value)
            element.set("font-size", size[0] if size else "8px")
        elif key and key != "font-family":
            element.set(key, value)


def inlined(content: bytes, prefix: str, label: str) -> str:
    """The same as a part of a page.

    Args:
        content: what `vector` gave.
        prefix: of the names in it, which must differ from those of all other figures.
        label: what a reader that does not see it is told.
    """
    root = ElementTree.fromstring(content.decode("utf-8"))
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.set("role", "img")
    root.set("aria-label", label)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, prefix + value)
            elif key.endswith("href") and value.startswith("#"):
                element.set(key, f"#{prefix}{value[1:]}")
            elif value.startswith("url(#"):
                element.set(key, f"url(#{prefix}{value[5:]}")
    # an HTML page knows the two by itself
    return re.sub(r' xmlns(:xlink)?="[^"]*"', "", ElementTree.tostring(root, "unicode"), count=2)
