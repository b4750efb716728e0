"""What can go wrong with Valkey. No text holds a password, a key or a value.

::

    Exception
    └── ValkeyError
        ├── ValkeyAwayError (ConnectionError)   it cannot be reached, hung up, or did not answer in time
        └── ValkeyRefusedError                  it answered with an error
"""

from typing import ClassVar, Final

_ADVICE: Final = {
    "OOM": "its memory is full: raise maxmemory, or set maxmemory-policy to allkeys-lru",
    "READONLY": "it is a replica: give the address of the primary",
    "NOAUTH": "it wants a password: redis://:password@host",
    "WRONGPASS": "user or password are wrong",
    "NOPERM": "the user may not do this: give it +@read +@write +@scripting +@connection on the keys sengol:*",
    "LOADING": "it is still reading its data: it will answer later",
    "MISCONF": "it cannot write its data to disk, and therefore takes none: see its log",
    "MASTERDOWN": "it is a replica without its primary",
    "NOREPLICAS": "too few of its replicas are there to take a write",
    "MOVED": "it is a node of a cluster: give the address of a server that is not",
    "CROSSSLOT": "it is a node of a cluster: give the address of a server that is not",
    "CLUSTERDOWN": "it is a node of a cluster: give the address of a server that is not",
    "BUSY": "a script of somebody else occupies it: SCRIPT KILL",
    "MAXCLIENTS": "it has as many connections as it may: raise maxclients",
    "DENIED": "it is in protected mode, which takes connections from its own machine only",
}


class ValkeyError(Exception):
    """Valkey did not do what it was asked."""

    loggable: ClassVar[bool] = True
    """Its text may stand in a log: see above."""


class ValkeyAwayError(ValkeyError, ConnectionError):
    """It cannot be reached, hung up, or did not answer in time."""


class ValkeyRefusedError(ValkeyError):
    """It answered with an error.

    Attributes:
        code: the first word of its answer: ``OOM``, ``READONLY``, ``NOSCRIPT``, … The rest may quote what was sent, and is dropped.
    """

    code = "ERR"


def refusal(where: str, command: str, answer: str) -> ValkeyRefusedError:
    """The error for what the server answered.

    Args:
        where: the server, without a password.
        command: the name of the command.
        answer: its text.
    """
    code = _code(answer)
    advice = _ADVICE.get(code)
    error = ValkeyRefusedError(f"{where} refused {command} with {code}" + (f": {advice}" if advice else ""))
    error.code = code
    return error


def _code(answer: str) -> str:
    if "max number of clients" in answer:
        return "MAXCLIENTS"
    first = answer.split(" ", 1)[0].lstrip("-")
    return first if first.isascii() and first.isalpha() and first.isupper() and len(first) <= 20 else "ERR"
