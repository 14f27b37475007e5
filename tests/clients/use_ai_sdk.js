// Vercel's AI SDK, with its provider for whatever is compatible with OpenAI.

'use strict';

const { createOpenAICompatible } = require('@ai-sdk/openai-compatible');
const { generateObject, generateText, stepCountIs, streamObject, streamText, tool } = require('ai');
const { z } = require('zod');
const { counted, make, model: name, url } = require('./kinds.js');

const provider = (more) => createOpenAICompatible({
  name: 'corral', baseURL: url, apiKey: "a client's own", fetch: counted(fetch), includeUsage: true, ...more,
});
const model = provider({ supportsStructuredOutputs: true })(name);
const schema = z.object({ city: z.string(), celsius: z.number(), warnings: z.array(z.string()) });
const common = { model, prompt: 'How are you?', maxRetries: 0 };
const prompt = 'Use get_weather for Lisbon.';
const uncalled = { get_weather: tool({ description: 'The weather.', inputSchema: schema }) };
const tools = { get_weather: tool({ description: 'The weather.', inputSchema: schema, execute: () => 'sunny' }) };

make({
  generateText: async () => (await generateText(common)).text,
  'generateText, seed and penalties': async () => (
    await generateText({ ...common, seed: 7, frequencyPenalty: 0.5, maxOutputTokens: 50 })
  ).text,
  streamText: async () => {
    const answer = streamText({ ...common, onError: ({ error }) => { throw error; } });
    return await answer.text && (await answer.usage).outputTokens;
  },
  generateObject: async () => schema.parse((await generateObject({ ...common, schema })).object),
  'generateObject, without a schema': async () => (
    await generateObject({ ...common, model: provider()(name), output: 'no-schema' })
  ).object,
  streamObject: async () => {
    const answer = streamObject({ ...common, schema });
    let last;
    for await (const part of answer.partialObjectStream) last = part;
    return schema.parse(last) && schema.parse(await answer.object);
  },
  tools: async () => schema.parse((await generateText({ ...common, prompt, tools: uncalled })).toolCalls[0].input),
  'tools, forced': async () => schema.parse(
    (await generateText({ ...common, tools: uncalled, toolChoice: 'required' })).toolCalls[0].input,
  ),
  'tools, streamed': async () => schema.parse(
    (await streamText({ ...common, prompt, tools: uncalled }).toolCalls)[0].input,
  ),
  'tools, run': async () => (await generateText({ ...common, prompt, tools, stopWhen: stepCountIs(2) })).text,
});
