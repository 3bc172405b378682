"""Runs the converter: `python -m services.converter`."""

from libs.runtime import service
from libs.runtime.call import BusContext
from libs.schemas.bus.state import ResolveReply, ResolveRequest
from libs.schemas.subjects import CONVERT, RESOLVE
from services.converter.handlers import Converter


async def set_up(worker: service.Worker) -> None:
    """Serve conversions."""

    async def resolve(request: ResolveRequest, context: BusContext) -> ResolveReply:
        return await worker.bus.call(RESOLVE, request, context)

    converter = Converter(worker.config, resolve)
    await worker.bus.serve(CONVERT, converter.convert, concurrency=worker.config.converter.concurrency)


if __name__ == "__main__":
    service.run("converter", lambda config: config.converter.grace_seconds, set_up)
