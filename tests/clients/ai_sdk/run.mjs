// The AI SDK: generateText and streamText with tools and objects, by either provider: node run.mjs PACKAGE.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { CONTINUITY, TEXTS, error, run } from "./report.mjs";
import { getPopulation, getWeather, taken } from "./tools.mjs";

const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey } = process.env;
const PROVIDERS = {
  "@ai-sdk/openai": () => createOpenAI({ baseURL, apiKey }).chat,
  "@ai-sdk/openai-compatible": () =>
    createOpenAICompatible({
      name: "parley",
      baseURL,
      apiKey,
      includeUsage: true,
      supportsStructuredOutputs: true,
    }).chatModel,
};
const [provider] = process.argv.slice(2);
const chat = PROVIDERS[provider]();
const options = { model: chat(TEXTS.model), system: TEXTS.system, maxRetries: 0 };
const Person = z.object({ name: z.string(), born: z.number().int() });

const shown = (text, finish, usage) => ({
  text,
  finish,
  usage: [usage.inputTokens, usage.outputTokens, usage.totalTokens],
});

async function answer() {
  const { text, finishReason, usage } = await generateText({ ...options, prompt: TEXTS.answer });
  return shown(text, finishReason, usage);
}

// What streamText tells of errors it tells as a part of the stream.
async function drained(result) {
  const pieces = [];
  for await (const part of result.fullStream) {
    if (part.type === "error") throw part.error;
    if (part.type === "text-delta") pieces.push(part.text);
  }
  return pieces;
}

function streamed(request) {
  return streamText({ ...options, ...request, onError: () => {} });
}

async function stream() {
  const result = streamed({ prompt: TEXTS.answer });
  const pieces = await drained(result);
  return { ...shown(pieces.join(""), await result.finishReason, await result.usage), pieces: pieces.length };
}

const tools = {
  get_weather: tool({
    description: "The weather of a city at this moment.",
    inputSchema: z.object({ city: z.string() }),
    execute: async (input) => getWeather(input),
  }),
  get_population: tool({
    description: "How many people lived in a city.",
    inputSchema: z.object({ city: z.string(), year: z.number().int() }),
    execute: async (input) => getPopulation(input),
  }),
};

async function conversation(ask) {
  const messages = [];
  const texts = [];
  const finishes = [];
  for (const name of ["tools", "tools_again"]) {
    messages.push({ role: "user", content: TEXTS[name] });
    const result = await ask({ messages, tools, stopWhen: stepCountIs(5) });
    const [text, steps, response] = await Promise.all([result.text, result.steps, result.response]);
    texts.push(text);
    finishes.push(...steps.map((step) => step.finishReason));
    messages.push(...response.messages);
  }
  return { calls: taken(), texts, finishes };
}

// Every turn has another system prompt and other tools, of which one knows less than the model says.
async function continued(ask) {
  const { get_weather, get_population } = tools;
  const thinner = { ...get_population, inputSchema: z.object({ city: z.string() }) };
  const offers = [{ get_weather, get_population: thinner }, { get_weather }, { get_population }];
  const messages = [];
  const texts = [];
  const continuity = [];
  for (const [index, content] of TEXTS.continued.entries()) {
    messages.push({ role: "user", content });
    const result = await ask({ messages, system: TEXTS.systems[index], tools: offers[index], stopWhen: stepCountIs(5) });
    const [text, steps, response] = await Promise.all([result.text, result.steps, result.response]);
    texts.push(text);
    continuity.push(...steps.map((step) => step.response.headers[CONTINUITY]));
    messages.push(...response.messages);
  }
  return { texts, continuity };
}

async function streamed_and_drained(request) {
  const result = streamed(request);
  await drained(result);
  return result;
}

async function structured() {
  const { output } = await generateText({
    ...options,
    prompt: TEXTS.structured,
    output: Output.object({ schema: Person }),
  });
  return output;
}

async function reasoning() {
  const result = await generateText({ ...options, prompt: TEXTS.reasoning });
  return { reasoning: result.reasoningText, text: result.text };
}

async function stream_reasoning() {
  const result = streamed({ prompt: TEXTS.reasoning });
  const pieces = await drained(result);
  return { reasoning: await result.reasoningText, text: pieces.join("") };
}

async function failing(ask) {
  try {
    await ask();
  } catch (raised) {
    return error(raised);
  }
  return {};
}

await run(["ai", provider], {
  answer,
  stream,
  tools: () => conversation((request) => generateText({ ...options, ...request })),
  stream_tools: () => conversation(streamed_and_drained),
  continued: () => continued((request) => generateText({ ...options, ...request })),
  stream_continued: () => continued(streamed_and_drained),
  structured,
  ...(provider === "@ai-sdk/openai-compatible" && { reasoning, stream_reasoning }),
  bad_request: () => failing(() => generateText({ ...options, prompt: TEXTS.bad_request })),
  rate_limited: () => failing(() => streamed_and_drained({ prompt: TEXTS.rate_limited })),
  broken_stream: () => failing(() => streamed_and_drained({ prompt: TEXTS.broken_stream })),
});
