// Checkpoints from the Hugging Face Hub (or a mirror) through @huggingface/hub; weights are read lazily by ranges.
import { CheckpointError } from '../errors.ts';
import { importPackage } from '../platform.ts';
import { requireRange } from './access.ts';
import { blockReader } from './block-source.ts';
import type { ByteSource } from './byte-source.ts';
import type { HttpSourceOptions } from './http-source.ts';
import type { CheckpointFiles } from './files.ts';
import { hardenedFetch } from './hardened-fetch.ts';
import { isPage } from './page.ts';
import { deepestReason } from './reason.ts';
import { MAX_TEXT_BYTES } from './remote-text.ts';

/** Options of {@link hubFiles}. */
export interface HubOptions extends HttpSourceOptions {
  /** Branch, tag or commit. @defaultValue 'main' */
  readonly revision?: string | undefined;
  /** Access token of gated or private models. */
  readonly accessToken?: string | undefined;
  /** Address of a mirror. @defaultValue the Hub's */
  readonly hubUrl?: string | undefined;
  /**
   * The library `@huggingface/hub`, for apps that bundle it: bundlers are kept from following the import of this package.
   *
   * @defaultValue what `import('@huggingface/hub')` gives, which Node finds and a page does not
   */
  readonly hub?: HubLibrary | undefined;
}

/** The part of `@huggingface/hub` that is used. */
export interface HubLibrary {
  /** The file with random access, or null where there is none. */
  downloadFile(request: {
    readonly repo: { readonly type: 'model'; readonly name: string };
    readonly path: string;
    readonly fetch: typeof fetch;
    readonly revision?: string;
    readonly accessToken?: string;
    readonly hubUrl?: string;
  }): Promise<Blob | null>;
}

/**
 * Files of a model repository.
 *
 * @throws CheckpointError from its methods: `file-not-found`, `network`, `unsupported` (without the Hub's library), `aborted`
 *
 * @example
 * ```ts
 * import { hubFiles, openCheckpoint } from '@hip/checkpoints';
 *
 * const { config } = await openCheckpoint(hubFiles('Qwen/Qwen3-0.6B', { revision: 'main' }));
 * ```
 */
export function hubFiles(repo: string, options: HubOptions = {}): CheckpointFiles {
  const download = async (path: string): Promise<ByteSource | undefined> => {
    const hub = options.hub ?? (await loadHub(repo, options.revision));
    const hardened = hardenedFetch(options);
    const wrap = (cause: unknown) => hubError(repo, path, cause, options.signal);
    try {
      const blob = await hub.downloadFile({
        repo: { type: 'model', name: repo },
        path,
        fetch: hardened.fetch,
        ...(options.revision !== undefined && { revision: options.revision }),
        ...(options.accessToken !== undefined && { accessToken: options.accessToken }),
        ...(options.hubUrl !== undefined && { hubUrl: options.hubUrl }),
      });
      if (!blob) return undefined;
      hardened.limit(blob.size);
      return blobSource(blob, `hf://${repo}/${path}`, wrap);
    } catch (cause) {
      throw wrap(cause);
    }
  };
  return {
    location: `hf://${repo}${options.revision === undefined ? '' : `@${options.revision}`}`,
    open: async (name) => {
      const source = await download(name);
      const blocks = source && blockReader(source.size, (from, to) => source.read(from, to - from));
      return (
        source && {
          ...source,
          ...blocks,
          read: async (offset, length) => {
            requireRange(source.name, source.size, offset, length);
            return (blocks as ByteSource).read(offset, length);
          },
        }
      );
    },
    text: async (name) => {
      const source = await download(name);
      if (!source) return undefined;
      const { maxTextBytes = MAX_TEXT_BYTES } = options;
      if (source.size > maxTextBytes) {
        const message = `${source.name} has ${source.size} bytes, at most ${maxTextBytes} are read of it (maxTextBytes)`;
        throw new CheckpointError('network', message, { name, size: source.size });
      }
      const text = new TextDecoder().decode(await source.read(0, source.size));
      return isPage(text) ? undefined : text;
    },
  };
}

async function loadHub(repo: string, revision = 'main'): Promise<HubLibrary> {
  try {
    return (await importPackage('@huggingface/hub')) as HubLibrary;
  } catch (cause) {
    throw new CheckpointError(
      'unsupported',
      `hf://${repo} needs the package @huggingface/hub, which is not found here: where the app is bundled, give it with hubFiles('${repo}', { hub: await import('@huggingface/hub') }), or load 'https://huggingface.co/${repo}/resolve/${revision}'`,
      { repo },
      { cause },
    );
  }
}

/**
 * Random access to a Blob or File (a file picked in a browser, a Hub download).
 *
 * @throws CheckpointError from `read`: `invalid-safetensors` beyond its end, `network` (or what `wrap` makes of the cause)
 */
export function blobSource(blob: Blob, name: string, wrap?: (cause: unknown) => CheckpointError): ByteSource {
  return {
    name,
    size: blob.size,
    read: async (offset, length) => {
      if (offset < 0 || offset + length > blob.size) {
        throw new CheckpointError(
          'invalid-safetensors',
          `${name} has ${blob.size} bytes: cannot read ${length} at ${offset}`,
          {
            damage: 'truncated',
            name,
            offset,
            length,
          },
        );
      }
      if (length === 0) return new Uint8Array(0);
      let bytes: Uint8Array<ArrayBuffer>;
      try {
        bytes = new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        throw wrap?.(cause) ?? new CheckpointError('network', `${name} cannot be read`, { name }, { cause });
      }
      if (bytes.byteLength !== length) {
        throw new CheckpointError('network', `${name}: asked for ${length} bytes, got ${bytes.byteLength}`, {
          name,
          length,
        });
      }
      return bytes;
    },
    close: async () => {},
  };
}

/** An error of this package, which a library may have wrapped. */
function ownError(error: unknown, depth = 0): CheckpointError | undefined {
  if (error instanceof CheckpointError || error === undefined || depth > 8) return error as CheckpointError | undefined;
  return ownError((Object(error) as { readonly cause?: unknown }).cause, depth + 1);
}

function hubError(repo: string, path: string, cause: unknown, signal: AbortSignal | undefined): CheckpointError {
  const own = ownError(cause);
  // A connection's failure is told in the Hub's words.
  if (own && !(own.code === 'network' && own.cause !== undefined)) return own;
  if (signal?.aborted) return new CheckpointError('aborted', `download of ${repo} was aborted`, { repo }, { cause });
  const status = (cause as { statusCode?: unknown } | undefined)?.statusCode;
  if (status === 404) return new CheckpointError('file-not-found', `the Hub has no ${repo}`, { repo, path }, { cause });
  if (status === 401 || status === 403) {
    return new CheckpointError(
      'network',
      `the Hub refuses ${repo} (${status}): pass accessToken`,
      { repo, path, status },
      { cause },
    );
  }
  return new CheckpointError(
    'network',
    `the Hub failed for ${repo}/${path}: ${deepestReason(cause)}`,
    { repo, path, status },
    { cause },
  );
}
