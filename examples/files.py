"""A PDF in a question; like an image it never crosses the bus."""

import base64
import os
import sys
from pathlib import Path

from openai import OpenAI

# Or the PDF named on the command line.
data = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else b"%PDF-1.4\n%%EOF\n"

client = OpenAI(base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8080/v1"), api_key="any key")
completion = client.chat.completions.create(
    model="gpt-5-mini",
    messages=[
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is in this file?"},
                {
                    "type": "file",
                    "file": {
                        "filename": "report.pdf",
                        "file_data": f"data:application/pdf;base64,{base64.b64encode(data).decode()}",
                    },
                },
            ],
        }
    ],
)
print(completion.choices[0].message.content)
