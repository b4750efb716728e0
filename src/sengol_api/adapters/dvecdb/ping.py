"""Whether a d-vecDB answers, before there is a client of it."""

from sengol_api.adapters.dvecdb.http import Http
from sengol_api.adapters.dvecdb.protocol import Rest


async def ping(host: str, port: int) -> None:
    """Ask a server whether it is well. It has as long as the caller gives it.

    Args:
        host: name or address.
        port: of its REST interface.

    Raises:
        DvecdbError: it is not, or is none.
    """
    http = Http(host, port, connections=0)
    try:
        await Rest(http).health()
    finally:
        await http.close()
