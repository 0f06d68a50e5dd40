"""Foreign text made harmless for Markdown, CSV and terminals."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
_ANSI = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-Z\\\\^_])")
_MARKDOWN = re.compile(r"([\\`*_#|<>\[\]&~$])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_HOME = re.compile(
    r"(?:file://|(?<![\w./:~-]))/(?:home|Users)/[^/\s'\":;,)\]]+|(?<![\w/.~-])/root\b"
)
_FOLDERS = re.compile(
    r"(?:file://|(?<![\w.~…:/-]))(?:/|[A-Za-z]:\\)(?:[^\s/\\'\":;,()\[\]]+[/\\])+"
)


class Markdown(str):
    """Text that is Markdown already and must not be escaped again."""

    __slots__ = ()


def plain(text: str) -> str:
    """One line without escape sequences, control or direction-changing characters."""
    return _CONTROL.sub(" ", _ANSI.sub("", text)).strip()


def headline(reason: str, longest: int = 300) -> str:
    """The last line that says something, of a traceback the error itself, without folders."""
    lines = [line for line in map(plain, without_folders(reason).splitlines()) if line]
    text = lines[-1] if lines else ""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def markdown(text: str) -> Markdown:
    """Text that Markdown shows as it is, on one line, fit for a table cell."""
    if isinstance(text, Markdown):
        return text
    return Markdown(_MARKDOWN.sub(r"\\\1", plain(text)))


def fenced(text: str) -> Markdown:
    """A code block that its content cannot close; lines are kept."""
    lines = [plain(line) for line in text.splitlines()]
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return Markdown("\n".join([f"{fence}sh", *lines, fence]))


def csv_cell(value: object) -> object:
    """The value as a CSV cell that no spreadsheet takes for a formula; numbers stay numbers.

    Absolute paths in text are cut to file names.
    """
    if not isinstance(value, str):
        return value
    text = without_folders(value)
    guarded = f"'{text}" if text.startswith(_FORMULA) else text
    # A bare carriage return would not be quoted and would start a new row.
    return guarded.replace("\r\n", "\n").replace("\r", "\n")


def without_folders(text: str) -> str:
    """The text with every absolute path cut to its file name and home folders shown as ``~``."""
    return _FOLDERS.sub("…/", _HOME.sub("~", text))
