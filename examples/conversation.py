"""A conversation that the program does not keep: it sends what is new, looks at what is held, and erases it."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
name = f"conversation-{os.getpid()}"
headers = {"x-parley-conversation": name}

for question in ("Name a river.", "Where does it end?"):
    answer = client.chat.completions.with_raw_response.create(
        model="gpt-5-mini", messages=[{"role": "user", "content": question}], extra_headers=headers
    )
    completion = answer.parse()
    print(answer.headers["x-parley-continuity"])
    print(completion.choices[0].message.content)
    # From now on only what is new, after the completion that this program saw last.
    headers |= {"x-parley-history": "delta", "x-parley-after": completion.id}

print(client.get(f"/parley/conversations/{name}", cast_to=dict[str, object])["turns"], "turns")
print(client.delete(f"/parley/conversations/{name}", cast_to=dict[str, object])["deleted"])
