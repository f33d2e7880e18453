// Pieces of bytes as one array.

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const all: Uint8Array[] = [];
  let length = 0;
  for await (const piece of pieces) {
    all.push(piece);
    length += piece.byteLength;
  }
  const out = new Uint8Array(length);
  let at = 0;
  for (const piece of all) {
    out.set(piece, at);
    at += piece.byteLength;
  }
  return out;
}
