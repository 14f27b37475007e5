// Kinds of requests, as a program that a library of Node's makes them: each so many times, with what came back.

'use strict';

const [url, model, times] = process.argv.slice(2);
let statuses = {}, hosts = {};

const count = (of, name) => { of[name] = (of[name] ?? 0) + 1; };

// Counts answers by status and host; `ask` is the library's own way to fetch.
const counted = (ask) => async (...request) => {
  const answer = await ask(...request);
  count(statuses, answer.status);
  count(hosts, answer.headers.get('x-corral-host') ?? 'none');
  return answer;
};

// Makes each, and writes what came of it; what a library does not accept, it throws.
const make = async (kinds) => {
  const outcome = {};
  for (const [kind, ask] of Object.entries(kinds)) {
    statuses = {};
    hosts = {};
    let accepted = 0;
    const failures = {};
    for (let turn = 0; turn < Number(times); turn += 1) {
      try {
        if (!await ask()) throw new Error('nothing was answered');
        accepted += 1;
      } catch (error) {
        count(failures, String(error.stack ?? error).slice(0, 400));
      }
    }
    outcome[kind] = { accepted, failures, statuses, hosts };
  }
  console.log(JSON.stringify(outcome));
};

module.exports = { url, model, counted, make };
