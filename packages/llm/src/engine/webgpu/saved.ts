// A sequence on a GPU as pieces of bytes, layer after layer, and such pieces as a session again.
import type { ModelSession, SavedSession } from '@hip/kernels-webgpu';
import { LlmError } from '../../errors.ts';

/** @param check - throws where the engine is closed */
export async function* savedPieces(
  session: ModelSession,
  tokens: number,
  check: () => void,
): AsyncGenerator<Uint8Array, void, void> {
  for (const [layer, pieces] of session.pieces(tokens).entries()) {
    for (let piece = 0; piece < pieces; piece++) {
      check();
      yield await session.readPiece(layer, piece);
    }
  }
}

/** @throws LlmError `invalid-input` for a state of other tokens, or pieces that end; HipError `invalid-shape`, `out-of-memory` */
export async function restoreSession(
  session: ModelSession,
  state: unknown,
  tokens: number,
  pieces: AsyncGenerator<Uint8Array, void, void>,
  check: () => void,
): Promise<void> {
  const saved = state as SavedSession;
  const isWhole = Object(saved).tokens === tokens && Array.isArray(saved.layers) && Array.isArray(saved.firstPages);
  if (!isWhole) throw wrong('its tokens are others');
  // What JSON has no word for is absent.
  const { firstPages } = saved;
  session.restore({ tokens, firstPages, layers: saved.layers.map((layer) => layer ?? undefined) });
  for (const [layer, count] of session.pieces(tokens).entries()) {
    for (let piece = 0; piece < count; piece++) {
      const { value, done } = await pieces.next();
      check();
      if (done) throw wrong('keys and values are missing');
      await session.writePiece(layer, piece, value);
    }
  }
}

function wrong(what: string): LlmError {
  return new LlmError('invalid-input', `this is no saved sequence of this engine: ${what}`, { what });
}
