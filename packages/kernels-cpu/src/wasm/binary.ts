// Chooses and compiles the binary: relaxed SIMD where the engine validates it, plain SIMD elsewhere; over shared memory or not.
import { HipError } from '@hip/mask-search';
import { plain, relaxed } from './binaries.generated.ts';

/** `auto`: relaxed where the engine has it. */
export type SimdChoice = 'auto' | 'relaxed' | 'plain';

/** Limits flag of a memory import: with a maximum, not shared. */
const UNSHARED = 1;

/** A binary's bytes. The two forms differ in the flag of the imported memory: atomics work on either. */
function decode(
  { base64, memoryFlag }: { readonly base64: string; readonly memoryFlag: number },
  shared: boolean,
): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  if (!shared) bytes[memoryFlag] = UNSHARED;
  return bytes;
}

/** @throws HipError `unsupported` when the engine cannot run what was asked for */
export async function compileBinary(
  choice: SimdChoice,
  shared: boolean,
): Promise<{ readonly module: WebAssembly.Module; readonly simd: 'relaxed' | 'plain' }> {
  for (const simd of choice === 'auto' ? (['relaxed', 'plain'] as const) : [choice]) {
    const bytes = decode(simd === 'relaxed' ? relaxed : plain, shared);
    if (WebAssembly.validate(bytes)) return { module: await compile(bytes), simd };
  }
  throw new HipError(
    'unsupported',
    `this engine has no ${choice === 'relaxed' ? 'relaxed ' : ''}WebAssembly SIMD with atomics: use the float64 reference of @hip/mask-search`,
    { choice },
  );
}

async function compile(bytes: Uint8Array<ArrayBuffer>): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (cause) {
    // What a page's policy forbids is no error of the bytes, which are valid.
    throw new HipError(
      'unsupported',
      `this page may not compile WebAssembly (${cause instanceof Error ? cause.message : String(cause)}): add 'wasm-unsafe-eval' to script-src of its Content-Security-Policy`,
      {},
      { cause },
    );
  }
}
