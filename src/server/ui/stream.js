/**
 * Follows server-sent events with a token, which the browser's own EventSource cannot send. It comes back by itself, from
 * where it was; and it asks again and again where there are no events.
 */

import { Refusal, ask } from './api.js';

/** Serin says something every 15 s. After so many milliseconds of silence the connection counts as lost. */
const SILENCE = 35_000;
/** Between questions, where there are no events; in milliseconds. */
const POLL = 3_000;
const LONGEST_WAIT = 15_000;

/**
 * @typedef {{kind: 'connecting' | 'live' | 'polling' | 'lost' | 'refused', lastAt: number, words?: string, status?: number}} Line
 *   `lastAt` is when the server was last heard, 0 if never, by our own clock
 */

/**
 * @param {{path: string, fallback: () => Promise<[string, any]>, heard: (type: string, data: any) => void,
 *   changed: (line: Line) => void}} wish `fallback` asks once what the first event would have said
 * @returns {{close: () => void, again: () => void}} `again` does not wait any longer
 */
export function follow(wish) {
  const run = {
    ...wish,
    lastId: null,
    pause: 2000,
    tries: 0,
    closed: false,
    polls: false,
    lastAt: 0,
    stop: null,
    wake: null,
  };
  void keepOn(run);
  return {
    close() {
      run.closed = true;
      run.stop?.abort();
      run.wake?.();
    },
    again() {
      run.tries = 0;
      run.wake?.();
    },
  };
}

async function keepOn(run) {
  tell(run, 'connecting');
  while (!run.closed) {
    try {
      await (run.polls ? poll(run) : listen(run));
    } catch (error) {
      if (run.closed) return;
      if (failed(run, error)) return;
    }
    if (!run.closed) await waitFor(run, delay(run));
  }
}

/** Whether it is over for good. */
function failed(run, error) {
  const refused = error instanceof Refusal ? error : new Refusal(0, String(error?.message ?? error));
  if (!run.polls && [404, 405, 406, 501].includes(refused.status)) {
    run.polls = true;
    run.tries = -1;
    return false;
  }
  const final = [401, 403, 404].includes(refused.status);
  run.tries += 1;
  tell(run, final ? 'refused' : 'lost', refused);
  return final;
}

function delay(run) {
  if (run.polls && run.tries <= 0) {
    const first = run.tries < 0;
    run.tries = 0;
    return first ? 0 : POLL;
  }
  const grown = Math.min(LONGEST_WAIT, run.pause * 1.5 ** Math.max(0, run.tries - 1));
  return grown * (0.75 + Math.random() / 2);
}

function waitFor(run, ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    run.wake = () => {
      clearTimeout(timer);
      resolve();
    };
  });
}

async function poll(run) {
  const [type, data] = await run.fallback();
  if (run.closed) return;
  run.tries = 0;
  run.lastAt = Date.now();
  run.heard(type, data);
  tell(run, 'polling');
}

async function listen(run) {
  run.stop = new AbortController();
  const headers = { Accept: 'text/event-stream' };
  if (run.lastId !== null) headers['Last-Event-ID'] = run.lastId;
  let watch = setTimeout(() => run.stop.abort(), SILENCE);
  try {
    const reply = await ask(run.path, { headers, signal: run.stop.signal });
    const parse = parser(run);
    const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done || run.closed) break;
      clearTimeout(watch);
      watch = setTimeout(() => run.stop.abort(), SILENCE);
      run.lastAt = Date.now();
      run.tries = 0;
      parse(value);
      tell(run, 'live');
    }
  } finally {
    clearTimeout(watch);
    run.stop.abort();
  }
  throw new Refusal(0, 'the connection ended');
}

/** Reads the format of server-sent events, in whatever pieces it comes. */
function parser(run) {
  let rest = '';
  let event = { type: '', data: [], id: null };
  return (piece) => {
    rest += piece;
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line !== '') field(run, event, line);
      else {
        dispatch(run, event);
        event = { type: '', data: [], id: null };
      }
    }
  };
}

function field(run, event, line) {
  const colon = line.indexOf(':');
  if (colon === 0) return;
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
  if (name === 'event') event.type = value;
  else if (name === 'data') event.data.push(value);
  else if (name === 'id') event.id = value;
  else if (name === 'retry' && /^\d+$/.test(value)) run.pause = Math.min(LONGEST_WAIT, Math.max(250, Number(value)));
}

function dispatch(run, { type, data, id }) {
  if (data.length > 0 && !run.closed) run.heard(type || 'message', JSON.parse(data.join('\n')));
  if (id !== null) run.lastId = id;
}

function tell(run, kind, refused) {
  run.changed({ kind, lastAt: run.lastAt, words: refused?.message, status: refused?.status });
}
