// OpenAI's own library for Node: plain calls, the streaming helper, the tool runner, parsed answers.
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { TEXTS, error, run } from "./report.mjs";
import { getPopulation, getWeather, taken } from "./tools.mjs";

const client = new OpenAI({ maxRetries: 0 });
const { model } = TEXTS;
const Person = z.object({ name: z.string(), born: z.number().int() });

const asked = (name) => [
  { role: "system", content: TEXTS.system },
  { role: "user", content: TEXTS[name] },
];
const usageOf = ({ usage }) => [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens];

async function answer() {
  const completion = await client.chat.completions.create({ model, messages: asked("answer") });
  const [{ message, finish_reason: finish }] = completion.choices;
  return { text: message.content, finish, usage: usageOf(completion) };
}

async function stream() {
  const chunks = await client.chat.completions.create({
    model,
    messages: asked("answer"),
    stream: true,
    stream_options: { include_usage: true },
  });
  const pieces = [];
  let finish, last;
  for await (const chunk of chunks) {
    last = chunk;
    const [choice] = chunk.choices;
    if (choice?.delta.content) pieces.push(choice.delta.content);
    finish = choice?.finish_reason ?? finish;
  }
  return { text: pieces.join(""), pieces: pieces.length, finish, usage: usageOf(last) };
}

const TOOLS = [
  zodFunction({ name: "get_weather", parameters: z.object({ city: z.string() }), function: getWeather }),
  zodFunction({
    name: "get_population",
    parameters: z.object({ city: z.string(), year: z.number().int() }),
    function: getPopulation,
  }),
];

async function conversation(streamed) {
  let messages = asked("tools");
  const texts = [];
  const finishes = [];
  for (const next of [{ role: "user", content: TEXTS.tools_again }, undefined]) {
    const runner = client.chat.completions.runTools({ model, messages, tools: TOOLS, stream: streamed });
    texts.push(await runner.finalContent());
    finishes.push(...runner.allChatCompletions().map((completion) => completion.choices[0].finish_reason));
    messages = [...runner.messages, next];
  }
  return { calls: taken(), texts, finishes };
}

// Every turn has another system prompt and other tools.
async function continued(streamed) {
  const offers = [TOOLS, TOOLS.slice(0, 1), TOOLS.slice(1)];
  let messages = [undefined];
  const texts = [];
  for (const [index, content] of TEXTS.continued.entries()) {
    messages = [{ role: "system", content: TEXTS.systems[index] }, ...messages.slice(1), { role: "user", content }];
    const runner = client.chat.completions.runTools({ model, messages, tools: offers[index], stream: streamed });
    texts.push(await runner.finalContent());
    messages = runner.messages;
  }
  return { texts };
}

async function structured() {
  const completion = await client.chat.completions.parse({
    model,
    messages: asked("structured"),
    response_format: zodResponseFormat(Person, "person"),
  });
  return completion.choices[0].message.parsed;
}

async function reasoning() {
  const completion = await client.chat.completions.create({ model, messages: asked("reasoning") });
  const { reasoning_content: thought, content } = completion.choices[0].message;
  return { reasoning: thought, text: content };
}

async function stream_reasoning() {
  const chunks = await client.chat.completions.create({
    model,
    messages: asked("reasoning"),
    stream: true,
  });
  let thought = "";
  let text = "";
  for await (const { choices } of chunks) {
    thought += choices[0]?.delta.reasoning_content ?? "";
    text += choices[0]?.delta.content ?? "";
  }
  return { reasoning: thought, text };
}

async function failing(name, stream) {
  try {
    const answered = await client.chat.completions.create({ model, messages: asked(name), stream });
    if (stream) for await (const _ of answered);
  } catch (raised) {
    if (raised instanceof OpenAI.APIError) return error(raised);
    throw raised;
  }
  return {};
}

await run(["openai"], {
  answer,
  stream,
  tools: () => conversation(false),
  stream_tools: () => conversation(true),
  continued: () => continued(false),
  stream_continued: () => continued(true),
  structured,
  reasoning,
  stream_reasoning,
  bad_request: () => failing("bad_request", false),
  rate_limited: () => failing("rate_limited", true),
  broken_stream: () => failing("broken_stream", true),
});
