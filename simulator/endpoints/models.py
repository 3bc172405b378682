"""`/v1/models`: the models that a client can list, scenario models among them."""

from simulator.checks import models
from simulator.endpoints.memory import Memory
from simulator.http.exchange import Exchange
from simulator.scripts.scenario_models import SCENARIO_MODELS


async def list_all(exchange: Exchange, memory: Memory) -> None:
    exchange.authenticate()
    listed = [models.to_model(name) for name in (*models.LISTED, *SCENARIO_MODELS)]
    await exchange.answer(200, {"object": "list", "data": listed})


async def retrieve(exchange: Exchange, memory: Memory, name: str) -> None:
    exchange.authenticate()
    models.find(name)
    await exchange.answer(200, models.to_model(name))
