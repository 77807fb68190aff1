// The `openai` package for Node: chats, streams, tools and shapes. `BASE_URL` names the server, `LOG` its log.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import test from "node:test";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: "none", maxRetries: 0, timeout: 60_000 });
const model = (await client.models.list()).data[0].id;
const messages = [{ role: "user", content: "Tell me a story about a little dog." }];
const Animal = z.object({ kind: z.enum(["dog", "cat", "bird"]), friendly: z.boolean() });
const City = z.object({ city: z.enum(["Rome", "Oslo"]) });

/** The log's lines, once nothing is added to them. */
async function records() {
  let lines = [];
  for (;;) {
    const now = (await readFile(process.env.LOG, "utf8").catch(() => "")).trim().split("\n").filter(Boolean);
    if (now.length === lines.length && now.length > 0) return now.map((line) => JSON.parse(line));
    lines = now;
    await setTimeout(200);
  }
}

test("a chat is answered", async () => {
  const reply = await client.chat.completions.create({ model, messages, max_tokens: 16, seed: 1 });
  assert.ok(reply.choices[0].message.content);
  assert.equal(reply.choices[0].finish_reason, "length");
  assert.equal(reply.usage.completion_tokens, 16);
});

test("deltas add up to the logged text while text is taken back", async () => {
  const options = { model, messages, max_tokens: 100, seed: 2 };
  const stream = await client.chat.completions.create({
    ...options,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let usage;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
    usage = chunk.usage ?? usage;
  }
  assert.equal(usage.completion_tokens, 100);
  const record = (await records()).at(-1);
  assert.equal(text, record.response);
  assert.ok(record.retractions > 5);
  const runner = client.chat.completions.stream(options);
  let deltas = "";
  runner.on("content", (delta) => (deltas += delta));
  assert.equal(await runner.finalContent(), text);
  assert.equal(deltas, text);
});

test("a stream that is left frees its line", async () => {
  const stream = await client.chat.completions.create({ model, messages, max_tokens: 400, stream: true });
  for await (const _ of stream) break;
  assert.ok((await client.chat.completions.create({ model, messages, max_tokens: 4 })).choices[0].message);
});

test("a reply is parsed by its schema", async () => {
  const reply = await client.chat.completions.parse({
    model,
    messages,
    max_tokens: 200,
    seed: 3,
    response_format: zodResponseFormat(Animal, "animal"),
  });
  assert.ok(Animal.safeParse(reply.choices[0].message.parsed).success);
});

test("a tool is called, at once and in parts", async () => {
  const options = {
    model,
    messages,
    max_tokens: 200,
    seed: 4,
    tools: [zodFunction({ name: "get_weather", parameters: City })],
    tool_choice: "required",
    parallel_tool_calls: false,
  };
  const whole = (await client.chat.completions.parse(options)).choices[0];
  assert.equal(whole.finish_reason, "tool_calls");
  const [call] = whole.message.tool_calls;
  assert.equal(call.function.name, "get_weather");
  assert.ok(City.safeParse(call.function.parsed_arguments).success);
  const streamed = (await client.chat.completions.stream(options).finalChatCompletion()).choices[0];
  assert.equal(streamed.message.tool_calls[0].function.arguments, call.function.arguments);
});

test("tools run until there is an answer", async () => {
  const runner = client.chat.completions.runTools(
    {
      model,
      messages,
      max_tokens: 300,
      stop: ["."],
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            description: "Tells the weather.",
            parameters: { type: "object", properties: { city: { enum: ["Rome", "Oslo"] } }, required: ["city"] },
            parse: JSON.parse,
            function: ({ city }) => `It rains in ${city}.`,
          },
        },
      ],
      tool_choice: "auto",
    },
    { maxChatCompletions: 3 },
  );
  await runner.done();
  assert.ok(runner.messages.length >= 2);
});

test("a response adds up", async () => {
  const stream = client.responses.stream({ model, input: "Tell me a story.", max_output_tokens: 60 });
  let text = "";
  for await (const event of stream) if (event.type === "response.output_text.delta") text += event.delta;
  const final = await stream.finalResponse();
  assert.equal(text, final.output_text);
  assert.equal(text, (await records()).at(-1).response);
});

test("errors are those of the package", async () => {
  await assert.rejects(client.chat.completions.create({ model: "gpt-4o", messages }), OpenAI.NotFoundError);
  await assert.rejects(
    client.chat.completions.create({ model, messages, temperature: 9000 }),
    (error) => error instanceof OpenAI.BadRequestError && error.param === "temperature",
  );
});
