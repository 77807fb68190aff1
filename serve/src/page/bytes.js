// Text of pieces. A piece is bytes, and a character can be spread over several pieces.

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Bytes at the end that begin a character and do not finish it: 0 to 3. */
function unfinished(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if (byte >= 0xc2 && byte <= 0xf4) {
      const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return length > back ? back : 0;
    }
    if (byte < 0x80 || byte > 0xbf) return 0;
  }
  return 0;
}

/** The text that is whole after `bytes`, and what is left over for the next piece. `left` is what the last call left. */
export function join(left, bytes) {
  const all = left.length ? [...left, ...bytes] : bytes;
  const end = all.length - unfinished(all);
  return { text: decoder.decode(Uint8Array.from(all.slice(0, end))), left: all.slice(end) };
}

export function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

/** A piece by itself, for a list of candidates: spaces and line breaks are visible, half characters are bytes. */
export function visible(bytes) {
  if (!bytes.length) return 'end of the text';
  const text = decoder.decode(Uint8Array.from(bytes));
  if (text.includes('\ufffd')) return bytes.map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join(' ');
  const plain = text.replace(/\r?\n/g, '↵').replace(/\t/g, '⇥').replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g, '�');
  return plain.replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length));
}
