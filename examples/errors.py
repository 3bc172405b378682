"""What goes wrong is told as OpenAI tells it: class, status, code, param, and an id to ask about."""

import os

from openai import APIError, BadRequestError, OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
try:
    client.chat.completions.create(
        model="gpt-5-mini",
        messages=[{"role": "user", "content": "Hi"}],
        extra_body={"temperature": "warm"},
    )
except BadRequestError as error:
    print(error.status_code, error.code, error.param, error.request_id)
except APIError as error:  # also what a stream that breaks off raises
    print(error.code, error.message)
