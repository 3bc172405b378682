"""An answer from the web, with its sources: the upstream searches, nothing is left for the program to run."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
completion = client.chat.completions.create(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "What is new about gateways?"}],
    web_search_options={"search_context_size": "low"},
)
message = completion.choices[0].message
print(message.content)
for annotation in message.annotations or []:
    print(annotation.url_citation.url)
