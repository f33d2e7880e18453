// Random access to bytes: memory, files (Node) and HTTP range requests behind one small interface.
import { CheckpointError } from '../errors.ts';
import { requireNode } from '../platform.ts';
import { deepestReason } from './reason.ts';

/** Random access to the bytes of one file. */
export interface ByteSource {
  /** Where the bytes come from, for messages. */
  readonly name: string;
  readonly size: number;
  /** Reads exactly `length` bytes at `offset`. @throws CheckpointError when they are not there. */
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** Bytes already in memory. @throws CheckpointError `invalid-safetensors` from `read` beyond their end */
export function memorySource(bytes: Uint8Array, name = 'memory'): ByteSource {
  return {
    name,
    size: bytes.byteLength,
    read: async (offset, length) => {
      requireRange(name, bytes.byteLength, offset, length);
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
    close: async () => {},
  };
}

/** A file on disk (Node only). @throws CheckpointError `file-not-found`, `unsupported` without Node. */
export async function fileSource(path: string): Promise<ByteSource> {
  const { open } = requireNode('node:fs/promises', `the file ${path}`, 'give bytes (memorySource) or an address');
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw new CheckpointError('file-not-found', `cannot open ${path}`, { path }, { cause });
  });
  const { size } = await handle.stat();
  return {
    name: path,
    size,
    read: async (offset, length) => {
      requireRange(path, size, offset, length);
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) {
          throw new CheckpointError('invalid-safetensors', `${path} ended early at byte ${offset + done}`, {
            damage: 'truncated',
            path,
          });
        }
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

/** Options of {@link httpSource}. */
export interface HttpSourceOptions {
  /** @defaultValue globalThis.fetch */
  readonly fetch?: typeof fetch | undefined;
  /** Extra request headers, e.g. authorization. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A file behind HTTP(S), read by range requests, so that only the tensors that are used travel.
 *
 * @throws CheckpointError `file-not-found` on 404, `network` on other failures or when the server ignores `Range`.
 */
export async function httpSource(url: string, options: HttpSourceOptions = {}): Promise<ByteSource> {
  const get = async (from: number, to: number): Promise<Response> => {
    const response = await request(url, options, { Range: `bytes=${from}-${to}` });
    if (response.status === 416) return response;
    if (response.status !== 206) {
      await response.body?.cancel();
      throw new CheckpointError(
        'network',
        `${url} answered ${response.status} to a range request: the server must support HTTP Range`,
        { url, status: response.status },
      );
    }
    return response;
  };
  const probe = await get(0, 0);
  await probe.body?.cancel();
  const size = Number(/\/(\d+)$/.exec(probe.headers.get('content-range') ?? '')?.[1] ?? Number.NaN);
  if (!Number.isSafeInteger(size)) {
    throw new CheckpointError('network', `${url} sent no usable Content-Range`, {
      url,
      contentRange: probe.headers.get('content-range'),
    });
  }
  return {
    name: url,
    size,
    read: async (offset, length) => {
      requireRange(url, size, offset, length);
      if (length === 0) return new Uint8Array(0);
      const bytes = new Uint8Array(await (await get(offset, offset + length - 1)).arrayBuffer());
      if (bytes.byteLength !== length) {
        throw new CheckpointError(
          'network',
          `${url}: asked for ${length} bytes at ${offset}, got ${bytes.byteLength}`,
          {
            url,
            offset,
            length,
            received: bytes.byteLength,
          },
        );
      }
      return bytes;
    },
    close: async () => {},
  };
}

/** One GET with typed errors. @throws CheckpointError `file-not-found` on 404, `network`, `aborted` */
export async function request(
  url: string,
  options: HttpSourceOptions,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const fetchFunction = options.fetch ?? fetch;
  let response: Response;
  try {
    response = await fetchFunction(url, {
      headers: { ...options.headers, ...headers },
      ...(options.signal && { signal: options.signal }),
    });
  } catch (cause) {
    if (options.signal?.aborted)
      throw new CheckpointError('aborted', `download of ${url} was aborted`, { url }, { cause });
    throw new CheckpointError('network', `request to ${url} failed: ${deepestReason(cause)}`, { url }, { cause });
  }
  if (response.status === 404) {
    await response.body?.cancel();
    throw new CheckpointError('file-not-found', `${url} does not exist (404)`, { url });
  }
  if (response.status >= 400 && response.status !== 416) {
    await response.body?.cancel();
    throw new CheckpointError('network', `${url} answered ${response.status}`, { url, status: response.status });
  }
  return response;
}

function requireRange(name: string, size: number, offset: number, length: number): void {
  if (offset < 0 || length < 0 || offset + length > size) {
    throw new CheckpointError(
      'invalid-safetensors',
      `${name} has ${size} bytes: cannot read ${length} bytes at ${offset} (file truncated?)`,
      { damage: 'truncated', name, size, offset, length },
    );
  }
}
