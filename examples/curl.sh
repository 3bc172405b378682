#!/bin/sh
# The same without a library: a streamed answer in a named conversation, with its headers.
curl --silent --show-error --include --no-buffer "${OPENAI_BASE_URL:-http://127.0.0.1:8080/v1}/chat/completions" \
  --header "Authorization: Bearer any-key" \
  --header "Content-Type: application/json" \
  --header "x-parley-conversation: curl-example" \
  --data '{"model": "gpt-5-mini", "stream": true, "messages": [{"role": "user", "content": "Say hello."}]}'
