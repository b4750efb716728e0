"""The files of the page, with the strictest policy that it works under: its own files, and nothing inline."""

from functools import cache
from importlib.resources import files
from typing import Final

PAGE: Final = "/status"
STREAM: Final = "/status/stream"
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # No text can become markup or code, not even by a mistake in our own script.
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_KINDS: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
_PAGE_FILE: Final = "status.html"
SCRIPTS: Final = ("status.js", "views.js", "tables.js", "draw.js", "dom.js", "admin.js")
FILES: Final = (_PAGE_FILE, "status.css", "icon.svg", *SCRIPTS)


def path_of(file: str) -> str:
    """Where a file of the page is served."""
    return PAGE if file == _PAGE_FILE else f"{PAGE}/{file}"


def media_type_of(file: str) -> str:
    """Its media type."""
    return _KINDS[file.rpartition(".")[2]]


@cache
def content_of(file: str) -> bytes:
    """What is in it."""
    return (files("sengol_api.api.status") / "static" / file).read_bytes()
