"""Text for the page: foreign text cleaned, Markdown sentences as HTML, code for script elements."""

from __future__ import annotations

import re
from typing import Any

from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup, escape

from reports.escape import Markdown, plain, without_folders

_SIGNS = re.compile(r"\\(.)|(\*\*?)", re.DOTALL)
_TAGS = {"**": "strong", "*": "em"}


def clean(text: object) -> str:
    """Foreign text on one line, without control characters and folders; not yet escaped."""
    return plain(without_folders(str(text)))


def shown(value: object) -> object:
    """What a template prints: sentences as HTML, other text cleaned; Jinja escapes it after."""
    if isinstance(value, Markdown):
        return inline(value)
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def inline(sentence: Markdown) -> Markup:
    """A sentence with ``**strong**``, ``*emphasis*`` and backslash escapes as HTML."""
    parts: list[str] = []
    opened: list[str] = []
    end = 0
    for found in _SIGNS.finditer(sentence):
        parts.append(escape(sentence[end : found.start()]))
        end = found.end()
        sign = found[2]
        if sign is None:
            parts.append(escape(found[1]))
        elif opened and opened[-1] == sign:
            parts.append(f"</{_TAGS[opened.pop()]}>")
        else:
            opened.append(sign)
            parts.append(f"<{_TAGS[sign]}>")
    parts.append(escape(sentence[end:]))
    parts += [f"</{_TAGS[sign]}>" for sign in reversed(opened)]
    return Markup("").join(Markup(part) for part in parts)


def script(code: str) -> Markup:
    """Code that its script element cannot be ended by."""
    return Markup(re.sub(r"<(?=/script|!--)", r"\\x3c", code, flags=re.IGNORECASE))


def json(data: Any) -> Markup:
    """JSON for a script element: ``<``, ``>``, ``&`` and all that is not ASCII are escaped.

    Raises:
        ValueError: it holds a number that JSON has not.
    """
    return htmlsafe_json_dumps(data, separators=(",", ":"), allow_nan=False)
