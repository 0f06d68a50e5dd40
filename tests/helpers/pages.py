"""Our pages for readers: their commands, the files that they show, and what they link to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_BEGUN = re.compile(r"`([\w./-]+)` begins so:\n\n```csv\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_COMMENTED = re.compile(r"""^((?:[^'"#]|'[^']*'|"[^"]*")*?)\s+#.*$""")
_OURS = re.compile(r"(?:^|[\s;'])(paretune [a-z].*)$")
_SCRIPT = "#!"


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a page tells its reader to type.

    Attributes:
        page: name of its file.
        text: without the remark behind it; of a script all of its lines.
    """

    page: str
    text: str

    @property
    def is_script(self) -> bool:
        """Whether it is a whole script instead of a line."""
        return self.text.startswith(_SCRIPT)

    @property
    def ours(self) -> list[str]:
        """The lines in it that call paretune."""
        lines = self.text.splitlines()
        return [found[1].removesuffix(" &") for line in lines if (found := _OURS.search(line))]


def name_of(page: Path) -> str:
    """Of a page, below the root."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, kind: str) -> list[str]:
    """The blocks of a page that are of this kind, ``sh`` for one."""
    text = page.read_text(encoding="utf-8")
    return [found["text"] for found in _BLOCK.finditer(text) if found["kind"] == kind]


def commands(page: Path) -> list[Command]:
    """Every command of a page, in the order in which they stand there."""
    texts = [text for block in blocks(page, "sh") for text in _split(block)]
    return [Command(page=name_of(page), text=text) for text in texts]


def shown_files(page: Path) -> dict[str, str]:
    """The files that a page shows, each below its name."""
    return dict(_FILE.findall(page.read_text(encoding="utf-8")))


def begun_tables(page: Path) -> dict[str, str]:
    """The tables of which a page shows header and first rows, each below its name."""
    return dict(_BEGUN.findall(page.read_text(encoding="utf-8")))


def spans(page: Path) -> list[str]:
    """What a page sets as code within a line."""
    return _SPAN.findall(_BLOCK.sub("", page.read_text(encoding="utf-8")))


def calls_in_files(page: Path) -> list[str]:
    """Calls of paretune in blocks that are no commands, such as a job for a cluster."""
    text = page.read_text(encoding="utf-8")
    others = [found["text"] for found in _BLOCK.finditer(text) if found["kind"] != "sh"]
    lines = [line for block in others for line in block.splitlines()]
    return [found[1] for line in lines if (found := _OURS.search(line))]


def links(page: Path) -> list[str]:
    """What a page links to in the repository, less the place in the file."""
    found = _LINK.findall(page.read_text(encoding="utf-8"))
    inside = [link for link in found if not link.startswith(("http://", "https://"))]
    return [name for link in inside if (name := link.partition("#")[0])]


def _split(block: str) -> list[str]:
    if block.startswith(_SCRIPT):
        return [block]
    lines = block.replace("\\\n", " ").splitlines()
    bare = [_COMMENTED.sub(r"\1", line).strip() for line in lines]
    return [line for line in bare if line and not line.startswith("#")]
