// The container of what is saved: a mark, then frames of bytes, each with its length and checksum, so that it is written and read in pieces.
//
//   8 bytes   "HIPLLM" and a version of two digits
//   frames    u32 length, u32 checksum (little-endian), `length` bytes
//   last      u32 0xffffffff, u32 number of frames
import { LlmError } from '../errors.ts';
import { Checksum } from './checksum.ts';

const MARK = 'HIPLLM01';
const END = 0xffff_ffff;
/** Longest frame that is believed: more is damage, not data. */
const MOST = 2 ** 30;

/** Anything that bytes come from: all at once, or piece by piece. */
export type ByteInput =
  | Uint8Array
  | ArrayBuffer
  | Blob
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array>
  | Iterable<Uint8Array>;

/** Writes payloads as a container. */
export async function* writeFrames(
  payloads: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  yield new TextEncoder().encode(MARK);
  let count = 0;
  for await (const payload of payloads) {
    yield words(payload.byteLength, new Checksum().add(payload).word);
    if (payload.byteLength > 0) yield payload as Uint8Array<ArrayBuffer>;
    count++;
  }
  yield words(END, count);
}

/**
 * The payloads of a container, checked.
 *
 * @throws LlmError `saved-damaged` for what is no container, of another version, cut off or changed
 */
export async function* readFrames(input: ByteInput): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  const bytes = new Reader(input);
  try {
    const mark = new TextDecoder().decode(await bytes.take(MARK.length));
    if (mark !== MARK) {
      const isOther = mark.startsWith(MARK.slice(0, 6));
      throw damaged(
        isOther
          ? `it is of version ${mark.slice(6)}, this package reads ${MARK.slice(6)}`
          : 'it begins with other bytes',
      );
    }
    let count = 0;
    for (;;) {
      const [length, checksum] = wordsOf(await bytes.take(8));
      if (length === END) {
        if (checksum !== count) throw damaged(`it has ${count} of ${checksum} parts`);
        return;
      }
      if (length > MOST) throw damaged(`part ${count} claims ${length} bytes`);
      const payload = await bytes.take(length);
      if (new Checksum().add(payload).word !== checksum) throw damaged(`part ${count} is not what was written`);
      count++;
      yield payload;
    }
  } finally {
    await bytes.end();
  }
}

/** What to throw where saved bytes are not what was written. */
export function damaged(what: string, cause?: unknown): LlmError {
  const message = `these bytes are no saved conversation, or damaged: ${what}`;
  return new LlmError('saved-damaged', message, { what }, cause === undefined ? undefined : { cause });
}

function words(first: number, second: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, first, true);
  view.setUint32(4, second, true);
  return new Uint8Array(view.buffer);
}

function wordsOf(bytes: Uint8Array<ArrayBuffer>): [number, number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  return [view.getUint32(0, true), view.getUint32(4, true)];
}

/** Bytes in the lengths that are asked for, whatever lengths they come in. */
class Reader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #held: Uint8Array = new Uint8Array(0);

  constructor(input: ByteInput) {
    this.#pieces = iterate(input);
  }

  async take(length: number): Promise<Uint8Array<ArrayBuffer>> {
    // What a damaged length claims is not allocated before it is there.
    const parts: Uint8Array[] = [];
    let missing = length;
    while (missing > 0) {
      if (this.#held.byteLength === 0) {
        const { value, done } = await this.#pieces.next();
        if (done) throw damaged(`it ends ${missing} bytes early`);
        if (!(value instanceof Uint8Array)) throw damaged('its pieces are no Uint8Array');
        this.#held = value;
      }
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.byteLength);
      missing -= part.byteLength;
      parts.push(part);
    }
    const out = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += part.byteLength;
    }
    return out;
  }

  async end(): Promise<void> {
    await this.#pieces.return?.();
  }
}

async function* iterate(input: ByteInput): AsyncGenerator<Uint8Array, void, void> {
  if (input instanceof Uint8Array) yield input;
  else if (input instanceof ArrayBuffer) yield new Uint8Array(input);
  else if (typeof Blob === 'function' && input instanceof Blob) yield* streamed(input.stream());
  else if (typeof ReadableStream === 'function' && input instanceof ReadableStream) yield* streamed(input);
  else if (Symbol.asyncIterator in Object(input) || Symbol.iterator in Object(input)) {
    yield* input as AsyncIterable<Uint8Array>;
  } else {
    const message = 'what is restored is no Uint8Array, Blob, stream or iterable of Uint8Array: give what save() gave';
    throw new LlmError('invalid-input', message, { given: typeof input });
  }
}

/** Not every browser iterates streams. */
async function* streamed(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
