// OpenAI's own client for Node.

'use strict';

const OpenAI = require('openai').default;
const { zodFunction, zodResponseFormat } = require('openai/helpers/zod');
const { z } = require('zod');
const { counted, make, model, url } = require('./kinds.js');

const client = new OpenAI({ baseURL: url, apiKey: "a client's own", maxRetries: 0, fetch: counted(fetch) });
const chat = client.chat.completions;
const Weather = z.object({ city: z.string(), celsius: z.number(), warnings: z.array(z.string()) });
const format = zodResponseFormat(Weather, 'weather');
const common = { model, messages: [{ role: 'user', content: 'How are you?' }] };
const messages = [{ role: 'user', content: 'Use get_weather for Lisbon.' }];
const tools = [zodFunction({ name: 'get_weather', parameters: Weather, function: () => 'sunny' })];

const streamed = async (body) => (await chat.stream(body).finalChatCompletion()).choices[0].message;

make({
  chat: async () => (await chat.create(common)).choices[0].message.content,
  stream: async () => (await streamed(common)).content,
  parse: async () => Weather.parse((await chat.parse({ ...common, response_format: format })).choices[0].message.parsed),
  'parse, streamed': async () => Weather.parse((await streamed({ ...common, response_format: format })).parsed),
  tools: async () => Weather.parse(
    (await chat.parse({ model, messages, tools, parallel_tool_calls: false }))
      .choices[0].message.tool_calls[0].function.parsed_arguments,
  ),
  'tools, streamed': async () => Weather.parse(
    (await streamed({ model, messages, tools })).tool_calls[0].function.parsed_arguments,
  ),
  'tools, run': async () => chat.runTools({ model, messages, tools }).finalContent(),
  responses: async () => (await client.responses.create({ model, input: 'How are you?' })).output_text,
});
