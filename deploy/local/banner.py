"""What `parley up` tells when everything is ready: where it is, how to call it, where things lie, how to stop."""

import sys
from dataclasses import dataclass
from pathlib import Path

from libs.schemas.config import Config

EXAMPLE_SQL = "SELECT model, outcome, ttft_ms, output_tokens FROM calls ORDER BY ts DESC LIMIT 10"
_EXAMPLE_MODEL = "gpt-5-mini"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the banner is made of; paths as a person would type them."""

    base_url: str
    upstream: str
    simulated: bool
    needs_key: bool
    model: str
    seconds: float
    state: str


def example_model(config: Config) -> str:
    """Return a model that the configured upstreams serve, as far as their globs name one."""
    served = [name for upstream in config.upstream for name in (*upstream.aliases, *upstream.models)]
    return next((name for name in served if not set(name) & set("*?[")), _EXAMPLE_MODEL)


def needs_key(config: Config) -> bool:
    """Return whether callers have to bring a key that an upstream accepts."""
    return any(upstream.auth == "client" for upstream in config.upstream)


def parley_command() -> str:
    """Return how to call `parley` from here."""
    beside_python = Path(sys.executable).parent / "parley"
    if not beside_python.exists():
        return "parley"
    here = Path.cwd()
    return str(beside_python.relative_to(here) if beside_python.is_relative_to(here) else beside_python)


def text(facts: Facts) -> str:
    """Return the banner."""
    parley = parley_command()
    key = "YOUR_KEY" if facts.needs_key else "any"
    return f"""
Parley is up, after {facts.seconds:.1f} s.

  base URL   {facts.base_url}
  upstream   {_upstream(facts)}

Call it:
{_curl(facts, key)}

Or with OpenAI's own Python SDK:
{_python(facts, key)}

Query the records:
  {parley} query "{EXAMPLE_SQL}"

State is kept in {facts.state}/, logs are in {facts.state}/logs/; `{parley} status` shows each service.
Stop with Ctrl-C, or from elsewhere with `{parley} down`.
"""


def _upstream(facts: Facts) -> str:
    if not facts.simulated:
        return facts.upstream
    return f"""the simulator, at {facts.upstream}: its answers are made up, and any key will do
             For real ones stop this, then start it with a key: OPENAI_API_KEY=sk-... {parley_command()} up"""


def _curl(facts: Facts, key: str) -> str:
    return f"""  curl {facts.base_url}/chat/completions \\
    -H 'content-type: application/json' -H 'authorization: Bearer {key}' \\
    -d '{{"model": "{facts.model}", "messages": [{{"role": "user", "content": "Say hello."}}]}}'"""


def _python(facts: Facts, key: str) -> str:
    return f"""  from openai import OpenAI
  client = OpenAI(base_url="{facts.base_url}", api_key="{key}")
  messages = [{{"role": "user", "content": "Say hello."}}]
  for chunk in client.chat.completions.create(model="{facts.model}", messages=messages, stream=True):
      print(chunk.choices[0].delta.content or "", end="", flush=True)"""
