// One request to the stream, from its first object to its last.

import { Problem, stream } from './api.js';

const LEAVING = 150;  // Milliseconds.

/** Reads a stream into a reply. `onStarted(told)` once, `onTold()` after each object, `onReload()` when a hook changed. */
export async function write(reply, body, signal, { onStarted, onTold, onReload }) {
  reply.begin();
  reply.hasStarted = false;
  try {
    for await (const told of stream('v1/stream', body, signal)) {
      take(reply, told, onStarted, onReload);
      onTold();
      if (reply.finish) break;
    }
    if (!reply.finish) throw new Problem('The connection was lost.');
  } catch (error) {
    if (error.name === 'AbortError') reply.finish = { kind: 'stopped', reason: '' };
    else {
      // A page that is left loses its connections first; then nothing is to be said, and this never goes on.
      await new Promise((resolve) => setTimeout(resolve, LEAVING));
      reply.problem = error instanceof Problem ? error.message : 'The server sent something that this page does not understand.';
      const isBegun = reply.told > reply.expected || reply.hasStarted;
      reply.finish = { kind: !isBegun ? 'refused' : error.status ? 'cut' : 'lost', reason: '' };
      if (!(error instanceof Problem)) console.error(error);
    }
  }
}

function take(reply, told, onStarted, onReload) {
  const { type = told.error ? 'refused' : '' } = told;
  told.event ??= {};
  switch (type) {
    case 'started':
      reply.hasStarted = true;
      return onStarted(told);
    case 'token': return reply.token(told);
    case 'retract': return reply.retract(told);
    case 'done': return reply.done(told);
    case 'refused': throw new Problem(String(told.error?.message ?? 'The server refused this.'), { status: 400 });
    default: {
      const { event } = told;
      reply.mark(event);
      if (event.type === 'reload' || event.type === 'notice') onReload();
    }
  }
}
