"""Several questions at once."""

import asyncio
import os

from openai import AsyncOpenAI


async def main() -> None:
    """Ask, and print the answers in order."""
    base_url = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1")
    async with AsyncOpenAI(base_url=base_url, api_key="any key") as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": question}])
                for question in ("What is a bus?", "What is a bucket?", "What is a stream?")
            )
        )
    for answer in answers:
        print(answer.choices[0].message.content)


asyncio.run(main())
