"""``REDIS_URL``, checked."""

import re
import ssl
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

FORMS: Final = "redis://[user:password@]host[:port][/database], rediss://… for TLS, or unix:///path/to/socket[?db=number]"
PORT: Final = 6379
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs")


@dataclass(frozen=True, slots=True)
class ValkeyAddress:
    """Where a server is, and who asks.

    Attributes:
        host: name or address; empty for a Unix socket.
        port: of TCP.
        path: of the Unix socket; empty for TCP.
        database: its number.
        tls: encrypted, the server's certificate checked.
        username: empty for the default user.
        password: empty for none.
        options: of TLS, by the names that the URL has for them.
    """

    host: str = ""
    port: int = PORT
    path: str = ""
    database: int = 0
    tls: bool = False
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, url: str) -> "ValkeyAddress":
        """Read a URL.

        Raises:
            ValueError: it is of no supported form; the text says what is wrong, and repeats nothing that may be a password.
        """
        if not url or re.search(r"[\s\x00-\x1f\x7f]", url):
            raise ValueError(f"empty, or with white space in it; it takes {FORMS}")
        if "#" in url:
            raise ValueError("it has a #, which in a password is written %23")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(
                f"the port is no number from 0 to 65535; it takes {FORMS}. In a password / ? # @ : are written %2F %3F %23 %40 %3A"
            ) from None
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError(f"it takes {FORMS}")
        options = _options(parts.query, parts.scheme)
        database = options.pop("db", None) or (parts.path.removeprefix("/") if parts.scheme != "unix" else "") or "0"
        if not re.fullmatch(r"[0-9]{1,5}", database):
            raise ValueError("the database is no number: redis://host:6379/0")
        host, path = parts.hostname or "", unquote(parts.path) if parts.scheme == "unix" else ""
        if parts.scheme == "unix" and (host or not path):
            raise ValueError("a Unix socket takes three slashes and a path: unix:///run/valkey/valkey.sock")
        if parts.scheme != "unix" and not host:
            raise ValueError(f"it names no host; it takes {FORMS}")
        return cls(
            host=unquote(host),
            port=PORT if port is None else port,
            path=path,
            database=int(database),
            tls=parts.scheme == "rediss",
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            options=tuple(sorted(options.items())),
        )

    def __str__(self) -> str:
        """The URL without user and password."""
        if self.path:
            return f"unix://{self.path}" + (f"?db={self.database}" if self.database else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}/{self.database}"

    def tls_context(self) -> ssl.SSLContext | None:
        """How the server is checked and this side shows itself; None without TLS.

        Raises:
            ValueError: a file of the options cannot be used.
        """
        if not self.tls:
            return None
        told = dict(self.options)
        try:
            context = ssl.create_default_context(cafile=told.get("ssl_ca_certs"))
            if "ssl_certfile" in told:
                context.load_cert_chain(told["ssl_certfile"], told.get("ssl_keyfile"))
        except OSError as error:
            raise ValueError(
                f"a file of its ssl_ options cannot be used: {error.strerror or 'no certificate or key in it'}"
            ) from None
        if told.get("ssl_cert_reqs") == "none":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _options(query: str, scheme: str) -> dict[str, str]:
    given = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    known = ("db", *_TLS_OPTIONS) if scheme == "rediss" else ("db",)
    if unknown := sorted(given.keys() - set(known)):
        raise ValueError(f"it has options that nobody knows ({len(unknown)}); {scheme}:// takes {', '.join(known)}")
    if given.get("ssl_cert_reqs", "required") not in ("required", "none"):
        raise ValueError("ssl_cert_reqs takes required or none")
    return given
