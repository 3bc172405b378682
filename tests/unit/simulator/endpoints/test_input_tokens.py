from tests.unit.simulator.caller import HELLO, RESPONSES, Caller


async def test_input_tokens_are_counted(call: Caller) -> None:
    counted = await call.json("POST", f"{RESPONSES}/input_tokens", HELLO)
    assert counted == {"object": "response.input_tokens", "input_tokens": counted["input_tokens"]}
