// What the person wrote and what was written for them, and how it outlives a reload.
//
// A chat and a plain text are both turns. A turn of the ensemble has versions: each reply that was written anew or that goes on
// from a picked token, with the turns that followed it. So nothing that was written is ever lost.

import { Reply } from './reply.js';

const PLACE = 'llama_selfmod.session';
const CANDIDATES = 400;  // Newest tokens of a reply whose candidates are kept over a reload.

export const session = {
  mode: 'chat',
  scale: 'confidence',
  hidesRetracted: false,
  parameters: {},
  draft: '',
  scripts: {},  // Texts of scripts that are not saved, by name.
  turns: { chat: [], text: [] },
  previous: { chat: [], text: [] },
};

export const turns = () => session.turns[session.mode];

export function addReply(reply) {
  const turn = { role: 'assistant', versions: [{ reply, rest: [] }], at: 0 };
  turns().push(turn);
  return turn;
}

export const replyOf = (turn) => turn.versions[turn.at].reply;

/** A further version of a turn; what followed the old one stays with the old one. */
export function addVersion(turn, reply) {
  turn.versions.push({ reply, rest: [] });
  chooseVersion(turn, turn.versions.length - 1);
}

export function chooseVersion(turn, at) {
  const all = turns();
  turn.versions[turn.at].rest = all.splice(all.indexOf(turn) + 1);
  turn.at = at;
  all.push(...turn.versions[at].rest);
}

export function clear() {
  session.previous[session.mode] = turns();
  session.turns[session.mode] = [];
}

export function restorePrevious() {
  session.turns[session.mode] = session.previous[session.mode];
  session.previous[session.mode] = [];
}

/** What the server is to go on from, before `turn`. */
export function context(turn) {
  const before = turns().slice(0, turns().indexOf(turn));
  const text = (one) => (one.role === 'user' ? one.text : replyOf(one).text());
  if (session.mode === 'text') return { prompt: before.map(text).join('') };
  const messages = [];
  for (const one of before) {
    const content = text(one);
    // A message that got no answer belongs to the next one: templates want the roles to alternate.
    if (one.role === 'user' && messages.at(-1)?.role === 'user') messages.at(-1).content += `\n\n${content}`;
    else messages.push({ role: one.role, content });
  }
  const system = session.parameters.system;
  if (system?.trim()) messages.unshift({ role: 'system', content: system });
  return { messages };
}

function stored(all, most, everyVersion) {
  return all.map((turn) => {
    if (turn.role === 'user') return turn;
    const kept = everyVersion ? turn.versions : [turn.versions[turn.at]];
    const versions = kept.map(({ reply, rest }) => ({ reply: reply.store(most), rest: stored(rest, most, everyVersion) }));
    return { role: turn.role, versions, at: everyVersion ? turn.at : 0 };
  });
}

function revived(all) {
  return all.map((turn) => (turn.role === 'user' ? { role: 'user', text: String(turn.text) } : {
    role: 'assistant', at: turn.at,
    versions: turn.versions.map(({ reply, rest }) => ({ reply: Reply.revive(reply), rest: revived(rest) })),
  }));
}

/** Keeps all, or what there is room for: first candidates are left out, then other versions. False when nothing can be kept. */
export function save() {
  for (const [most, everyVersion, previous] of [[CANDIDATES, true, true], [0, true, false], [0, false, false]]) {
    const pack = (of) => ({ chat: stored(of.chat, most, everyVersion), text: stored(of.text, most, everyVersion) });
    const packed = { ...session, turns: pack(session.turns), previous: previous ? pack(session.previous) : { chat: [], text: [] } };
    try {
      sessionStorage.setItem(PLACE, JSON.stringify(packed));
      return true;
    } catch { /* Too long: with less. */ }
  }
  return false;
}

export function load() {
  try {
    const packed = JSON.parse(sessionStorage.getItem(PLACE));
    if (!packed) return;
    const unpack = (of) => ({ chat: revived(of.chat), text: revived(of.text) });
    Object.assign(session, packed, { turns: unpack(packed.turns), previous: unpack(packed.previous) });
  } catch {
    // A session of another version of the page, or none: begin anew.
  }
}
