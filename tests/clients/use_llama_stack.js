// Llama Stack's client for Node.  Python's of the same version wants Python 3.12; those before ask another path.

'use strict';

const LlamaStackClient = require('llama-stack-client').default;
const { counted, make, model, url } = require('./kinds.js');

const client = new LlamaStackClient({ baseURL: url.replace(/\/v1$/, ''), maxRetries: 0, fetch: counted(fetch) });
const chat = client.chat.completions;
const common = { model, messages: [{ role: 'user', content: 'How are you?' }] };
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const tools = [{ type: 'function', function: { name: 'get_weather', parameters: schema } }];

make({
  chat: async () => (await chat.create(common)).choices[0].message.content,
  stream: async () => {
    let text = '';
    for await (const chunk of await chat.create({ ...common, stream: true })) text += chunk.choices[0]?.delta.content ?? '';
    return text;
  },
  tools: async () => JSON.parse(
    (await chat.create({ ...common, tools, tool_choice: 'required', parallel_tool_calls: false }))
      .choices[0].message.tool_calls[0].function.arguments,
  ).city !== undefined,
  'JSON schema': async () => JSON.parse(
    (await chat.create({ ...common, response_format: { type: 'json_schema', json_schema: { name: 'weather', schema } } }))
      .choices[0].message.content,
  ).city !== undefined,
});
