// Rebuilds streams with the official Node SDK: reads {name: stream} from stdin, writes {name: completion or {error}}.
// The first argument is a folder whose `node_modules` holds the package `openai`.
import { createRequire } from "node:module";

const { default: OpenAI } = createRequire(`${process.argv[2]}/`)("openai");

async function rebuild(body) {
  const fetch = async () => new Response(body, { headers: { "content-type": "text/event-stream" } });
  const client = new OpenAI({ apiKey: "key", baseURL: "http://parley.test/v1", maxRetries: 0, fetch });
  try {
    return await client.chat.completions.stream({ model: "any", messages: [] }).finalChatCompletion();
  } catch (error) {
    return { error: error.message };
  }
}

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const made = {};
for (const [name, body] of Object.entries(JSON.parse(Buffer.concat(chunks).toString()))) made[name] = await rebuild(body);
process.stdout.write(JSON.stringify(made));
