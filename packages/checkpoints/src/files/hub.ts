// Checkpoints from the Hugging Face Hub (or a mirror) through @huggingface/hub; weights are read lazily by ranges.
import { CheckpointError } from '../errors.ts';
import { importPackage } from '../platform.ts';
import type { ByteSource, HttpSourceOptions } from './byte-source.ts';
import type { CheckpointFiles } from './files.ts';
import { deepestReason } from './reason.ts';

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
  const download = async (path: string): Promise<Blob | undefined> => {
    const hub = options.hub ?? (await loadHub(repo, options.revision));
    const base = options.fetch ?? fetch;
    const withOptions: typeof fetch = (input, init) => {
      const headers = new Headers(init?.headers);
      for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
      return base(input, { ...init, headers, ...(options.signal && { signal: options.signal }) });
    };
    try {
      const blob = await hub.downloadFile({
        repo: { type: 'model', name: repo },
        path,
        fetch: withOptions,
        ...(options.revision !== undefined && { revision: options.revision }),
        ...(options.accessToken !== undefined && { accessToken: options.accessToken }),
        ...(options.hubUrl !== undefined && { hubUrl: options.hubUrl }),
      });
      return blob ?? undefined;
    } catch (cause) {
      throw hubError(repo, path, cause, options.signal);
    }
  };
  return {
    location: `hf://${repo}${options.revision === undefined ? '' : `@${options.revision}`}`,
    open: async (name) => {
      const blob = await download(name);
      return blob && blobSource(blob, `hf://${repo}/${name}`, (cause) => hubError(repo, name, cause, options.signal));
    },
    text: async (name) => {
      const blob = await download(name);
      return blob?.text().catch((cause: unknown) => {
        throw hubError(repo, name, cause, options.signal);
      });
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

function hubError(repo: string, path: string, cause: unknown, signal: AbortSignal | undefined): CheckpointError {
  if (cause instanceof CheckpointError) return cause;
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
