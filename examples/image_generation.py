"""An image that the model makes: it comes in `images` of the message, as a data URL."""

import os

from openai import OpenAI

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
completion = client.chat.completions.create(
    model="gpt-5-mini",
    messages=[{"role": "user", "content": "Draw a gateway."}],
    extra_body={"tools": [{"type": "image_generation"}]},
)
for image in (completion.choices[0].message.model_extra or {}).get("images", []):
    print(image["image_url"]["url"].partition(",")[0])
