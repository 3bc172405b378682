from tests.unit.simulator.caller import HELLO, RESPONSES, Caller, create


async def test_input_tokens_are_counted_as_the_answer_s_usage_counts_them(call: Caller) -> None:
    counted = await call.json("POST", f"{RESPONSES}/input_tokens", HELLO)
    used = (await create(call))["usage"]["input_tokens"]
    assert used > 0 and counted == {"object": "response.input_tokens", "input_tokens": used}
