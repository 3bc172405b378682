"""Asks processes of this machine whether they are there. Never through a proxy, whatever the environment says."""

import asyncio
import http.client
import socket

TIMEOUT_SECONDS = 5.0
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def reachable(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on `host`."""
    return _WILDCARDS.get(host, host)


def get(host: str, port: int, path: str) -> tuple[int, bytes]:
    """Return status and body of one GET. Raises OSError when nobody answers HTTP there."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        http_response = connection.getresponse()
        return http_response.status, http_response.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {type(error).__name__}") from None
    finally:
        connection.close()


async def readyz(host: str, port: int) -> bool:
    """Return whether the service at `port` says that it is ready."""
    try:
        status, _ = await asyncio.to_thread(get, host, port, "/readyz")
    except OSError:
        return False
    return status == 200


async def nats_greets(host: str, port: int) -> bool:
    """Return whether a NATS server at `port` greets, as each does before the client says a word."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            greeting = await reader.read(5)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return greeting == b"INFO "


async def listens(host: str, port: int) -> bool:
    """Return whether something accepts connections at `port`."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return True


def listening_fault(host: str, port: int) -> OSError | None:
    """Return why nobody can listen on `port` now, None when one can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        return error
    return None
