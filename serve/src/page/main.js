// The page: puts its parts together, and writes.

import { json, onKeyNeeded, Problem } from './api.js';
import { Candidates } from './candidates.js';
import { Follow } from './follow.js';
import * as legend from './legend.js';
import * as parameters from './parameters.js';
import { Policies } from './policies.js';
import { endingInWords, Reply } from './reply.js';
import { Editor } from './script.js';
import * as kept from './session.js';
import { Tokens } from './tokens.js';
import { count, Turns } from './turns.js';
import { Voice } from './voice.js';
import { write } from './writing.js';

const { session, replyOf } = kept;
const find = (id) => document.getElementById(id);
const [input, log, side, status] = ['input', 'log', 'side', 'status'].map(find);

let about = null;    // What the server is.
let writing = null;  // { turn, reply, stop } while something is written.
let frame = 0, savedAt = 0;

const voice = new Voice(find('voice'));
const follow = new Follow(log, find('turns'), find('newest'));
const turns = new Turns(find('turns'), {
  again: (turn) => begin(turn, new Reply(), true),
  goOn: (turn) => begin(turn, replyOf(turn), false),
  chosen: () => { tokens.forget(); candidates.clear(); kept.save(); },
  busy: () => writing?.turn ?? null,
  say,
});
const candidates = new Candidates(find('candidates'), { onPick: pick, onMove: (direction) => tokens.move(direction, false) });
const tokens = new Tokens(turns, {
  onShow(turn, at, byKey = false) {
    open('candidates');
    turns.view(turn).span(at).scrollIntoView({ block: 'nearest' });
    if (byKey) candidates.focus();
  },
  onCurrent: () => side.dataset.panel === 'candidates' && showCandidates(),
});
const editor = new Editor(find('script'), { say, onSaved: () => policies.refresh() });
const policies = new Policies(find('policies'), {
  say,
  onHooks: (hooks) => editor.offer(hooks),
  onEdit(name) { open('script'); editor.open(name).then(() => editor.area.focus()); },
});

/** A sentence for the person, below the text field and for screen readers. */
function say(text, isProblem = false) {
  status.textContent = text;
  status.classList.toggle('problem', isProblem);
  voice.say(text);
}

// What is written.

function begin(turn, reply, isNewVersion) {
  if (writing) return say('Something is being written. Stop it first.');
  const by = about && JSON.stringify([about.members, about.units, about.is_bytes]);
  if (reply.standing && by && reply.by && reply.by !== by) return say('Other models wrote this reply. Let it be written again.', true);
  reply.by = by || reply.by;
  if (isNewVersion) kept.addVersion(turn, reply);
  else kept.chooseVersion(turn, turn.at);
  if (turns.view(turn)?.reply !== reply) { tokens.forget(); candidates.clear(); }
  const given = reply.given();
  const body = { ...kept.context(turn), ...parameters.fields(given.length, about), stream: true, members: true, alternatives: 10 };
  if (given.length) body.given = given;
  const control = new AbortController();
  writing = { turn, reply, stop: () => control.abort(), since: performance.now(), before: reply.standing };
  status.classList.remove('problem');
  status.textContent = 'waiting for the server';
  voice.begin();
  showState();
  turns.draw();
  follow.toEnd();
  writing.over = write(reply, body, control.signal, {
    onStarted({ prompt_tokens: prompt, cached_tokens: cached }) {
      writing.since = performance.now();
      if (prompt !== undefined) status.textContent = `prompt: ${count(prompt, 'token')}${cached ? `, ${cached.toLocaleString('en')} of them known` : ''}`;
    },
    onTold: schedule,
    onReload: () => policies.refresh(),
  }).finally(ended);
}

function ended() {
  const { turn, reply, before, since } = writing;
  writing = null;
  cancelAnimationFrame(frame);
  frame = 0;
  turns.draw();
  turns.view(turn)?.flush();
  follow.grown();
  showState();
  legend.draw(find('legend'), session.scale, turns.leaders);
  const written = reply.standing - before, seconds = (performance.now() - since) / 1000;
  status.textContent = written > 0 ? `${(written / seconds).toFixed(written / seconds < 10 ? 1 : 0)} tokens a second` : '';
  voice.end(reply.text(), reply.problem || `${count(reply.standing, 'token')}, ${endingInWords(reply.finish)}.`);
  if (side.dataset.panel === 'policies') policies.refresh();
  showCandidates();
  save();
  if (!about) learn();
}

/** Draws what has come, once in the next frame. */
function schedule() {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    if (!writing) return;
    const { turn, reply } = writing;
    turns.view(turn)?.flush();
    follow.grown();
    if (reply.standing) status.textContent = `${count(reply.standing, 'token')}${reply.retractions ? `, ${count(reply.retractions, 'retraction')}` : ''}`;
    voice.progress(() => reply.text());
    if (performance.now() - savedAt > 5000) save();
  });
}

function save() {
  savedAt = performance.now();
  if (!kept.save()) status.textContent = 'This browser has no room left to keep the text over a reload.';
}

async function pick(reply, at, alternative) {
  const { turn } = tokens;
  if (writing) {
    writing.stop();
    await writing.over;
  }
  const step = reply.steps[at];
  const members = step.candidates.map((all, member) => {
    const found = all.find(({ units }) => String(units) === String(alternative.units));
    return { name: about?.members?.[member] ?? `member ${member + 1}`, probability: found ? Math.exp(found.logprob) : 0 };
  });
  const picked = alternative.bytes.length ? {
    ...step, bytes: alternative.bytes, units: alternative.units, picked: true, gone: false, beyond: false, members,
    logprob: alternative.logprob, confidence: Math.exp(alternative.logprob),
  } : null;
  const next = Reply.from(reply, step.before, picked);
  const cursor = next.last;
  if (picked) begin(turn, next, true);
  else {
    // The end of the text was picked: there is nothing to ask for.
    next.finish = { kind: 'end', reason: '' };
    kept.addVersion(turn, next);
    turns.draw();
    save();
  }
  const wasInPanel = side.contains(document.activeElement) || document.activeElement === document.body;
  if (cursor >= 0) tokens.select(turn, cursor, !wasInPanel);
  showCandidates();
  if (wasInPanel && side.dataset.panel === 'candidates') candidates.focus();
}

function send() {
  if (writing) return writing.stop();
  const text = input.value, all = kept.turns();
  const isText = session.mode === 'text';
  if (!text.trim() && !(isText && (text || all.length))) return input.focus();
  const last = all.at(-1);
  input.value = session.draft = '';
  size();
  if (isText && !text && last?.role === 'assistant') return begin(last, replyOf(last), false);
  if (last?.role === 'assistant' && !replyOf(last).standing && replyOf(last).finish?.kind === 'refused') all.pop();
  if (text) all.push({ role: 'user', text });
  begin(kept.addReply(new Reply()), kept.replyOf(kept.turns().at(-1)), false);
}

// What is shown.

function showState() {
  const isText = session.mode === 'text', all = kept.turns();
  find('go').textContent = writing ? 'Stop' : isText && all.length && !input.value ? 'Continue' : isText ? 'Write' : 'Send';
  find('go').classList.toggle('stop', Boolean(writing));
  find('input-label').textContent = isText ? 'Text' : 'Message';
  input.placeholder = isText ? (all.length ? 'More text, or nothing to go on' : 'Once upon a time') : 'Message';
  find('hint').textContent = writing ? 'Esc stops' : isText ? 'Ctrl-Enter writes' : 'Enter sends, Shift-Enter begins a line';
  find('fresh').hidden = Boolean(writing) || !all.length;
  find('blank').hidden = all.length > 0;
  find('restore').hidden = !session.previous[session.mode].length;
  find('invitation').textContent = isText ? 'Begin a text; the ensemble goes on.' : 'Write a message; the ensemble answers.';
  find('turns').setAttribute('aria-busy', String(Boolean(writing)));
  document.querySelector(`#mode input[value="${session.mode}"]`).checked = true;
  for (const radio of find('mode').elements) radio.disabled = Boolean(writing);
}

function showScale() {
  find('scale').value = session.scale;
  find('turns').dataset.scale = session.scale;
  find('turns').classList.toggle('hides-retracted', session.hidesRetracted);
  legend.draw(find('legend'), session.scale, turns.leaders);
}

function showCandidates() {
  const reply = tokens.reply;
  if (reply) candidates.show(reply, tokens.at, about?.members ?? []);
  else candidates.clear();
}

function open(panel) {
  side.hidden = false;
  side.dataset.panel = panel;
  document.body.dataset.panel = panel;
  for (const part of side.querySelectorAll(':scope > [data-panel]')) part.hidden = part.dataset.panel !== panel;
  for (const button of find('panels').children) button.setAttribute('aria-expanded', String(button.dataset.panel === panel));
  if (panel === 'candidates') showCandidates();
  if (panel === 'policies') policies.refresh();
  if (panel === 'script') policies.refresh().then(() => editor.open());
  follow.grown();
}

function close() {
  const { panel } = side.dataset;
  const hadFocus = side.contains(document.activeElement);
  side.hidden = true;
  delete side.dataset.panel;
  delete document.body.dataset.panel;
  for (const button of find('panels').children) button.setAttribute('aria-expanded', 'false');
  if (hadFocus && panel === 'candidates' && tokens.turn) tokens.select(tokens.turn, tokens.at);
  else if (hadFocus) find('panels').querySelector(`[data-panel="${panel}"]`).focus();
}

/** The text field is as high as its text. */
function size() {
  input.style.height = 'auto';
  input.style.height = `${Math.min(input.scrollHeight + 2, innerHeight * 0.4)}px`;
}

// What the person does.

find('composer').addEventListener('submit', (event) => { event.preventDefault(); send(); });
input.addEventListener('input', () => { session.draft = input.value; size(); showState(); });
input.addEventListener('keydown', (event) => {
  const isSend = event.key === 'Enter' && !event.isComposing && (session.mode === 'text' ? event.ctrlKey || event.metaKey : !event.shiftKey);
  if (!isSend) return;
  event.preventDefault();
  if (!writing) send();
});
find('mode').addEventListener('change', ({ target }) => {
  session.mode = target.value;
  chosen();
});
find('scale').addEventListener('change', ({ target }) => { session.scale = target.value; showScale(); save(); });
find('hide-retracted').addEventListener('change', ({ target }) => { session.hidesRetracted = target.checked; showScale(); save(); });
find('fresh').addEventListener('click', () => { kept.clear(); chosen(); input.focus(); });
find('restore').addEventListener('click', () => { kept.restorePrevious(); chosen(); input.focus(); });
find('panels').addEventListener('click', ({ target }) => {
  const panel = target.closest('button')?.dataset.panel;
  if (!panel) return;
  if (side.dataset.panel === panel) close();
  else open(panel);
});
find('close').addEventListener('click', close);
addEventListener('keydown', (event) => {
  if (event.key !== 'Escape' || event.defaultPrevented || find('key').open) return;
  if (writing) writing.stop();
  else if (side.dataset.panel) close();
});
addEventListener('pagehide', save);
document.addEventListener('visibilitychange', () => document.hidden && save());

function chosen() {
  tokens.forget();
  candidates.clear();
  turns.draw();
  showState();
  follow.toEnd();
  save();
}

onKeyNeeded(async (wasWrong) => {
  const dialog = find('key'), field = find('key-field');
  if (wasWrong) find('key-why').textContent = 'The server did not accept this key.';
  if (!dialog.open) dialog.showModal();
  field.value = '';
  field.focus();
  await new Promise((resolve) => dialog.addEventListener('close', resolve, { once: true }));
  return dialog.returnValue === 'use' ? field.value.trim() || null : null;
});

async function start() {
  kept.load();
  input.value = session.draft;
  find('hide-retracted').checked = session.hidesRetracted;
  size();
  showScale();
  turns.draw();
  showState();
  follow.toEnd();
  parameters.connect(find('parameters'), about, save);
  await learn();
}

/** Asks the server what it is. */
async function learn() {
  try {
    about = await json('v1/about');
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return say(error.message, true);
  }
  const members = about?.members ?? [];
  turns.leaders.splice(0, turns.leaders.length, ...members, ...turns.leaders.filter((name) => !members.includes(name)));
  parameters.connect(find('parameters'), about, save);
  find('name').textContent = document.title = about.name ?? 'llama_selfmod';
  find('about').textContent = `Members: ${members.join(', ')}. Context: ${count(about.context ?? 0, 'token')}.`;
  showScale();
  for (const turn of kept.turns()) if (turn.role === 'assistant') turns.view(turn)?.show(replyOf(turn));
  follow.toEnd();
}

start();
