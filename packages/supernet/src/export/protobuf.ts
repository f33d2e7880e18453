// A minimal protobuf writer: the wire types ONNX needs (varint, 32-bit float, length-delimited).

/** Builds one protobuf message; nested messages are finished `Message`s. */
export class Message {
  readonly #chunks: Uint8Array[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** A non-negative or 64-bit signed integer field. */
  integer(field: number, value: number | bigint): this {
    return this.#push(varint((field << 3) | 0)).#push(varint(BigInt.asUintN(64, BigInt(value))));
  }

  float(field: number, value: number): this {
    return this.#push(varint((field << 3) | 5)).#push(new Uint8Array(new Float32Array([value]).buffer));
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#push(varint((field << 3) | 2))
      .#push(varint(value.byteLength))
      .#push(value);
  }

  message(field: number, value: Message): this {
    this.#push(varint((field << 3) | 2)).#push(varint(value.size));
    for (const chunk of value.#chunks) this.#push(chunk);
    return this;
  }

  /** The encoded message. */
  finish(): Uint8Array {
    const out = new Uint8Array(this.#size);
    let position = 0;
    for (const chunk of this.#chunks) {
      out.set(chunk, position);
      position += chunk.byteLength;
    }
    return out;
  }

  #push(chunk: Uint8Array): this {
    this.#chunks.push(chunk);
    this.#size += chunk.byteLength;
    return this;
  }
}

function varint(value: number | bigint): Uint8Array {
  let rest = BigInt(value);
  const bytes: number[] = [];
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}
