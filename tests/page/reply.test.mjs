// A reply as it is put together, without a browser.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join, visible } from '../../serve/src/page/bytes.js';
import { Reply } from '../../serve/src/page/reply.js';

const bytes = (text) => [...Buffer.from(text)];
const token = (text, { units = [text.charCodeAt(0)], raw = bytes(text), committed = 0 } = {}) => ({
  piece: { units, bytes: raw, logprob: -1, alternatives: [{ units, bytes: raw, logprob: -1 }], members: [] },
  event: { confidence: 0.5, entropy: 1, agreement: 0.75, leader: 'tale', members: [{ name: 'tale', probability: 0.5 }] }, committed,
});
const written = (...texts) => {
  const reply = new Reply();
  reply.begin();
  for (const text of texts) reply.token(token(text));
  return reply;
};

test('text that was taken back is gone from the text and stays in the steps', () => {
  const reply = written('a', 'b', 'c', 'd');
  reply.retract({ index: 2, units: 2, event: { policy: 'calm', reason: 'unlikely' } });
  reply.token(token('e'));
  assert.equal(reply.text(), 'abe');
  assert.equal(reply.standing, 3);
  assert.deepEqual(reply.steps.map(({ kind, gone }) => (kind === 'token' ? Boolean(gone) : kind)), [false, false, true, true, 'retract', false]);
  assert.deepEqual(reply.given(3), [[97], [98], [99], [100]], 'what led to a token that is gone is still known');
});

test('a retraction counts units, of which a piece has several where units are bytes', () => {
  const reply = new Reply();
  reply.begin();
  for (const text of ['one', ' two', ' three']) reply.token(token(text, { units: bytes(text) }));
  reply.retract({ index: 3, units: 10, event: {} });
  assert.equal(reply.text(), 'one');
  assert.deepEqual(reply.given(), [bytes('one')]);
});

test('half characters are joined, over a retraction too, and what is no UTF-8 is U+FFFD', () => {
  const reply = new Reply();
  reply.begin();
  reply.token(token('x', { raw: [0xc3] }));
  reply.token(token('x', { raw: [0xbc] }));
  assert.equal(reply.text(), 'ü');
  reply.retract({ index: 1, units: 1, event: {} });
  reply.token(token('x', { raw: [0xa4] }));
  assert.equal(reply.text(), 'ä');
  reply.token(token('x', { raw: [0xff, 0x41] }));
  assert.equal(reply.text(), 'ä\ufffdA');
  reply.token(token('x', { raw: [0xf0, 0x9f] }));
  reply.done({ finish: { kind: 'end' }, text: 'ä\ufffdA\ufffd' });
  assert.equal(reply.text(), 'ä\ufffdA\ufffd');
  assert.deepEqual(join([0xf0, 0x9f], [0x41]).text, '\ufffdA');
});

test('given pieces are told again without being written twice', () => {
  const source = written('a', 'b', 'c');
  const reply = Reply.from(source, 1, { ...source.steps[1], bytes: bytes('X'), units: [88], picked: true });
  assert.equal(reply.text(), 'abX');
  reply.begin();
  for (const text of ['a', 'b', 'X', 'y']) reply.token(token(text));
  assert.equal(reply.text(), 'abXy');
  assert.equal(reply.steps.length, 4);
  assert.equal(reply.steps[2].picked, true);
});

test('a server that tells other pieces than were given is believed', () => {
  const reply = Reply.from(written('a', 'b', 'c'), 2);
  reply.begin();
  for (const text of ['a', 'Q', 'r']) reply.token(token(text));
  assert.equal(reply.text(), 'aQr');
});

test('a stop string in the middle of a token is cut off', () => {
  const reply = written('ab', 'cST', 'OP');
  reply.done({ finish: { kind: 'stop' }, text: 'abc' });
  assert.equal(reply.text(), 'abc');
  assert.equal(reply.steps[2].beyond, true);
});

test('a reply outlives storage', () => {
  const reply = written('a', 'b', 'c', ' long');
  reply.retract({ index: 2, units: 2, event: { policy: 'calm', reason: 'why' } });
  reply.token(token('é'));
  reply.mark({ type: 'notice', text: 'look' });
  reply.done({ finish: { kind: 'length' }, text: 'abé' });
  const revived = Reply.revive(JSON.parse(JSON.stringify(reply.store(2))));
  assert.equal(revived.text(), 'abé');
  assert.deepEqual(revived.given(), reply.given());
  assert.deepEqual(revived.steps.map(({ kind, gone = false }) => [kind, Boolean(gone)]), reply.steps.map(({ kind, gone = false }) => [kind, Boolean(gone)]));
  assert.deepEqual(revived.finish, { kind: 'length', reason: '' });
  assert.equal(revived.steps[0].alternatives.length, 0);
  assert.equal(revived.steps[5].alternatives.length, 1);
});

test('candidates show what cannot be seen', () => {
  assert.equal(visible(bytes('  a\n')), '␣␣a↵');
  assert.equal(visible([0xe2, 0x82]), 'E2 82');
  assert.equal(visible([]), 'end of the text');
  assert.equal(visible(bytes('\u202e')), '�');
});
