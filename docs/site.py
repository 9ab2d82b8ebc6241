"""What mkdocs cannot know: files outside docs/ that are pages, or that pages link to.

A link is written as GitHub reads it, relative to the file that has it. The README is
the site's first page, the changelog its last; any other file of the repository that a
page links to is copied into the site.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
COPIES = "files"  # folder of the site for what is copied
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")  # of Markdown, to a file
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Add the pages and the copies."""
    for source, name in PAGES.items():
        files.append(_file(config, name, source))
    for file in list(files.documentation_pages()):
        for target in _targets(file.content_string, _origin(file.src_uri)):
            if (ROOT / target).is_file() and not files.get_file_from_path(_at(target)):
                files.append(_file(config, _at(target), target))


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """The page, whose links lead to where the site has the files."""
    here, origin = page.file.src_uri, _origin(page.file.src_uri)

    def moved(link: re.Match) -> str:
        at = _at(_resolved(link[1], origin))
        return posixpath.relpath(at, posixpath.dirname(here) or ".")

    parts = CODE.split(markdown)
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def _file(config: MkDocsConfig, name: str, source: str) -> File:
    return File.generated(config, name, abs_src_path=str(ROOT / source))


def _origin(name: str) -> str:
    """The file of the repository that a page of the site is: 'docs/runs.md'."""
    return {page: source for source, page in PAGES.items()}.get(name, f"docs/{name}")


def _at(path: str) -> str:
    """Where the site has a file of the repository."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PAGES.get(path, f"{COPIES}/{path}")


def _resolved(link: str, origin: str) -> str:
    """A link of the file `origin`, from the root of the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))


def _targets(markdown: str, origin: str) -> set[str]:
    words = " ".join(CODE.split(markdown)[::2])
    return {_resolved(link, origin) for link in LINK.findall(words)}
