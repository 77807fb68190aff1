// Requests to the server. Every failure becomes a `Problem` with a sentence that a person can act on.

const KEY = 'llama_selfmod.key';

export class Problem extends Error {
  constructor(message, { status = 0 } = {}) {
    super(message);
    this.status = status;
  }
}

let askForKey = async () => null;

/** `ask` resolves to a key, or to `null` when the person gives none. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

function readKey() {
  try { return sessionStorage.getItem(KEY); } catch { return null; }
}

export function keepKey(key) {
  try { sessionStorage.setItem(KEY, key); } catch { /* Without storage the key lasts as long as the request. */ }
}

/** A response with a status of 2xx; asks for a key as long as the server wants one. */
export async function send(path, { method = 'GET', body, signal, accept = 'application/json' } = {}) {
  let key = readKey();
  for (;;) {
    const headers = { accept };
    if (key) headers.authorization = `Bearer ${key}`;
    if (body !== undefined) headers['content-type'] = 'application/json';
    let response;
    try {
      response = await fetch(path, {
        method, headers, signal, cache: 'no-store', body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new Problem('The server does not answer. Check that it is running, then try again.');
    }
    if (response.ok) return response;
    if (response.status !== 401) throw await problem(response);
    key = await askForKey(Boolean(key));
    if (!key) throw new Problem('This server wants an API key.', { status: 401 });
    keepKey(key);
  }
}

async function problem(response) {
  const { status } = response;
  const retryAfter = Number(response.headers.get('retry-after')) || null;
  const text = await response.text().catch(() => '');
  let said = '';
  try {
    const body = JSON.parse(text);
    said = String(body.error?.message ?? '');
  } catch {
    said = text.slice(0, 300);
  }
  const later = retryAfter ? ` Try again in ${retryAfter} ${retryAfter === 1 ? 'second' : 'seconds'}.` : ' Try again in a moment.';
  const sentence = {
    429: `The server is busy with other texts.${later}`,
    503: `The server is loading or shutting down.${later}`,
    413: 'The text is longer than the server accepts.',
    404: said || 'The server does not know this request.',
  }[status] ?? (said || `The server answered with an error (${status}).`);
  return new Problem(sentence, { status });
}

export async function json(path, options) {
  const response = await send(path, options);
  const text = await response.text();
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem('The server answered with something that is not JSON.');
  }
}

/** Lines for the person. */
export function lines(answer) {
  return (answer?.lines ?? []).map(String);
}

/** Objects of a stream: `data:` lines of server-sent events, or JSON by the line. */
export async function* stream(path, body, signal) {
  const response = await send(path, { method: 'POST', body, signal, accept: 'text/event-stream' });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      let part;
      try {
        part = await reader.read();
      } catch (error) {
        if (error.name === 'AbortError') throw error;
        throw new Problem('The connection was lost.');
      }
      const ready = (rest + (part.value ?? '')).split('\n');
      rest = part.done ? '' : ready.pop();
      for (const line of ready) {
        const found = parse(line);
        if (found === END) return;
        if (found) yield found;
      }
      if (part.done) return;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const END = Symbol('end');

function parse(line) {
  const text = line.startsWith('data:') ? line.slice(5).trim() : line.trim();
  if (text === '[DONE]') return END;
  if (!text.startsWith('{')) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem('The server sent something that is not JSON.');
  }
}
