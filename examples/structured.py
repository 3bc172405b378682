"""An answer that is an object of your own class."""

import os

from openai import OpenAI
from pydantic import BaseModel


class Person(BaseModel):
    """What is asked for."""

    name: str
    age: int


client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
completion = client.chat.completions.parse(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "Invent a person."}],
    response_format=Person,
)
print(completion.choices[0].message.parsed)
