"""`POST /v1/responses`: one answer, whole, streamed or in the background, and what is kept of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from simulator.checks import models
from simulator.checks.responses_request import ResponsesRequest, to_request
from simulator.context import tokens
from simulator.context.assembly import assemble, conversation_of
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange
from simulator.http.steps import Cut, Pause, Step
from simulator.http.stream import send_stream
from simulator.kept.conversations import Conversation
from simulator.kept.responses import Job, Kept
from simulator.play import response_events
from simulator.play.faults import answered_by_fault, send_half, wait
from simulator.play.response_object import Answer
from simulator.scripts import decision
from simulator.scripts.decision import SCRIPT_HEADER, Script
from simulator.scripts.distortions import distort_response
from simulator.scripts.plan import Failure
from simulator.wire import errors
from simulator.wire.json import ENCODER, Json

BILLING = {"billing": {"payer": "developer"}}


async def create(exchange: Exchange, memory: Memory) -> None:
    account = exchange.authenticate()
    body = await exchange.json()
    exchange.note(body)
    script_header = exchange.headers.get(SCRIPT_HEADER, "")
    request = decision.understood(to_request(body), script_header)
    conversation = conversation_of(request, account, memory.conversations)
    if conversation is not None:
        conversation.lock()
    try:
        context = assemble(request, account, memory.store, memory.lineage, memory.conversations)
        scripted = decision.decide(request, context, script_header, account, memory.attempts)
        if not await answered_by_fault(exchange, scripted.plan):
            await _answer(exchange, _Turn(memory, request, context, account, conversation, scripted))
    finally:
        if conversation is not None:
            conversation.release()


@dataclass(frozen=True)
class _Turn:
    """One request with all that its answer is made from."""

    memory: Memory
    request: ResponsesRequest
    context: list[Json]
    account: str
    conversation: Conversation | None
    script: Script

    def keep(self, response: Json, job: Job | None = None) -> Kept | None:
        """Remember an answer before its last bytes leave; null when the request asked not to store it."""
        final = response if job is None else job.final
        self.memory.lineage.record(self.account, final["output"])
        if self.conversation is not None:
            self.conversation.append([*self.request.items, *final["output"]])
        if not self.request.store:
            return None
        size = len(ENCODER.encode(self.request.items)) + len(ENCODER.encode(final))
        context = [*self.context, *final["output"]]
        kept = Kept(self.account, response, self.request.items, context, size, job)
        self.memory.store.keep(kept)
        return kept

    def finish(self, response: Json) -> None:
        self.keep(response)


async def _answer(exchange: Exchange, turn: _Turn) -> None:
    request, scripted = turn.request, turn.script
    input_tokens, cached = turn.memory.prompt_cache.measure(request, turn.context, turn.account)
    usage = tokens.usage(input_tokens, cached, scripted.output_tokens, scripted.reasoning_tokens)
    answer = Answer(request, scripted, usage, turn.context)
    exchange.entry.response_id = answer.id
    headers = models.rate_limits(request.abilities, usage["total_tokens"])
    if request.background:
        await _answer_later(exchange, turn, answer, headers)
    elif request.stream:
        steps = response_events.to_steps(scripted, answer, request.obfuscate, turn.finish)
        await _send_stream(exchange, steps, scripted, headers)
    else:
        await _send_whole(exchange, turn, answer, headers)


async def _send_stream(exchange: Exchange, steps: Iterator[Step], scripted: Script, headers: dict[str, str]) -> None:
    await send_stream(exchange, steps, scripted.plan.pace, headers, scripted.plan.framing.joins_writes)


async def _answer_later(exchange: Exchange, turn: _Turn, answer: Answer, headers: dict[str, str]) -> None:
    """The queued body at once, or the stream; either way the answer is kept whole, to be polled or resumed."""
    request, scripted = turn.request, turn.script
    whole = replace(scripted, plan=replace(scripted.plan, interruptions=[]))
    played = list(response_events.to_events(whole, answer, request.obfuscate, lambda response: None))
    told = [event for event in played if isinstance(event, dict)]
    job = Job(answer.finished(), scripted.plan.polls, told if request.stream else None)
    kept = turn.keep(answer.queued(), job)
    assert kept is not None  # `background` with `store: false` was refused
    if not request.stream:
        await exchange.answer(200, {**kept.response, **BILLING}, headers)
        return
    steps = response_events.to_steps(scripted, answer, request.obfuscate, lambda response: kept.finish())
    await _send_stream(exchange, _until_cancelled(steps, job), scripted, headers)


def _until_cancelled(steps: Iterator[Step], job: Job) -> Iterator[Step]:
    for step in steps:
        if job.is_cancelled:
            return
        yield step


async def _send_whole(exchange: Exchange, turn: _Turn, answer: Answer, headers: dict[str, str]) -> None:
    """The JSON answer, after as long as its stream would have taken."""
    plan = turn.script.plan
    if seconds := _duration(turn.script):
        await wait(exchange, seconds)
    response = answer.finished()
    for interruption in plan.interruptions:
        if isinstance(interruption, Failure):
            raise errors.scripted(500, interruption.code, interruption.message)
        if isinstance(interruption, Cut):
            await send_half(exchange, response)
            if interruption.resets:
                exchange.reset()
            return
    turn.keep(response)
    await exchange.answer(200, {**distort_response(plan.distortions, response), **BILLING}, headers)


def _duration(scripted: Script) -> float:
    stalled = sum(step.seconds for step in scripted.plan.interruptions if isinstance(step, Pause))
    return stalled + scripted.plan.pace * (scripted.output_tokens - scripted.reasoning_tokens)
