"""Show what a chat request becomes, offline.

Nothing is sent and no state is asked: a request that would continue a conversation is shown whole.
"""

import os
from typing import IO

import click
import msgspec

from libs.runtime import settings
from libs.runtime.errors import StartError
from libs.schemas.bus.convert import ClientOptions
from libs.schemas.config import Upstream
from libs.translate.errors import InvalidRequest, NeedsNative
from libs.translate.request import translating
from libs.translate.request.options import merged
from libs.translate.request.routing import route
from parley.failure import Failure

# Offline, and with no upstream configured, any model may be asked for.
_ANY = Upstream(name="any", base_url="https://example.invalid/v1")


@click.command()
@click.argument("file", type=click.File("rb"))
def command(file: IO[bytes]) -> None:
    """Show the Responses request that the chat request in FILE (- for standard input) becomes."""
    body = file.read()
    try:
        upstreams = settings.load(os.environ).upstream or [_ANY]
        parsed = translating.parse(body)
        way = route(upstreams, parsed.chat.model)
        if way.bridge == "bypass":
            click.echo(f"upstream {way.upstream.name}: sent as it is, to its own /chat/completions")
            return
        client_options = merged(ClientOptions(), parsed.chat.parley)
        made = translating.translate(parsed, model=way.model, profile=way.upstream, format_=client_options.format)
    except StartError as error:
        raise Failure(str(error)) from None
    except NeedsNative as native:
        click.echo(f"upstream {way.upstream.name}: sent as it is, to its own /chat/completions, for {native.reason}")
        return
    except InvalidRequest as refused:
        where = f" (param {refused.error.param})" if refused.error.param else ""
        raise Failure(f"{refused.status}{where}: {refused.error.message}") from None
    click.echo(msgspec.json.format(translating.encode(made.body, made.forwarded), indent=2).decode())
    left_out = ", ".join(made.dropped) or "nothing"
    click.echo(f"upstream: {way.upstream.name}\ndropped: {left_out}", err=True)
