// One request to the stream, from its first object to its last.

import { Problem, stream } from './api.js';

/** Reads a stream into a reply. `onStarted(told)` once, `onTold()` after each object, `onReload()` when a hook changed. */
export async function write(reply, body, signal, { onStarted, onTold, onReload }) {
  reply.begin();
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
      reply.problem = error instanceof Problem ? error.message : 'The server sent something that this page does not understand.';
      const isStarted = reply.told > 0 || reply.hasStarted;
      reply.finish = { kind: error.status || !isStarted ? 'refused' : 'lost', reason: '' };
      if (!(error instanceof Problem)) console.error(error);
    }
  }
}

function take(reply, told, onStarted, onReload) {
  const { type = told.error ? 'refused' : '' } = told;
  switch (type) {
    case 'started':
      reply.hasStarted = true;
      return onStarted(told);
    case 'token': return reply.token(told);
    case 'retract': return reply.retract(told);
    case 'done': return reply.done(told);
    case 'refused': throw new Problem(String(told.error?.message ?? told.message ?? told.refusal?.message ?? 'The server refused this.'), { status: 400 });
    default: {
      const event = told.event ?? told;
      reply.mark(event);
      if (event.type === 'reload' || event.type === 'notice') onReload();
    }
  }
}
