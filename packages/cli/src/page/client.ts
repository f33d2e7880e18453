// The page that times networks on onnxruntime-web, in whatever browser opened it. Built into the package (`npm run codegen`).
import type { Answer, Feeds, Order, WebProvider } from './protocol.ts';

/** The part of onnxruntime-web that is used. */
interface Ort {
  readonly env: { readonly wasm: { wasmPaths: string } };
  readonly InferenceSession: {
    create(model: Uint8Array, options: { readonly executionProviders: readonly string[] }): Promise<Session>;
  };
  readonly Tensor: new (type: string, data: BigInt64Array | Float32Array, dims: readonly number[]) => unknown;
}

interface Session {
  run(feeds: object): Promise<Record<string, { getData(): Promise<unknown>; dispose(): void }>>;
  release(): Promise<void>;
}

declare global {
  /** Said by the page's HTML. */
  var ORT_MODULE: string;
  var PROVIDER: WebProvider;
}

const status = document.querySelector('output')!;
const ort = (await import(globalThis.ORT_MODULE)) as Ort;
ort.env.wasm.wasmPaths = '/ort/';
const loaded = new Map<number, { readonly session: Session; readonly feeds: object }>();

async function network(id: number) {
  const before = loaded.get(id);
  if (before) return before;
  const [model, feeds] = await Promise.all([
    fetch(`/model/${id}`).then((response) => response.arrayBuffer()),
    fetch(`/feeds/${id}`).then((response) => response.json() as Promise<Feeds>),
  ]);
  const session = await ort.InferenceSession.create(new Uint8Array(model), {
    executionProviders: [globalThis.PROVIDER],
  });
  const tensors = Object.entries(feeds).map(([name, { type, data, dims }]) => {
    const values = type === 'int64' ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
    return [name, new ort.Tensor(type, values, dims)] as const;
  });
  const made = { session, feeds: Object.fromEntries(tensors) };
  loaded.set(id, made);
  return made;
}

/** Milliseconds of one pass, its outputs read: on a GPU they are owed until then. */
async function pass(id: number): Promise<number> {
  const { session, feeds } = await network(id);
  const start = performance.now();
  const outputs = Object.values(await session.run(feeds));
  await Promise.all(outputs.map((output) => output.getData()));
  const ms = performance.now() - start;
  for (const output of outputs) output.dispose();
  return ms;
}

async function obey({ order, network: id, free }: Extract<Order, { do: 'pass' }>): Promise<Answer> {
  try {
    for (const other of free) {
      await loaded.get(other)?.session.release();
      loaded.delete(other);
    }
    return { order, ms: await pass(id) };
  } catch (error) {
    return { order, error: String(error) };
  }
}

/** Does orders until there are none. */
async function serve(): Promise<string> {
  const page = await (await fetch('/hello', { method: 'POST' })).text();
  let passes = 0;
  status.textContent = 'ready';
  for (;;) {
    const order = (await (await fetch(`/next?page=${page}`)).json()) as Order;
    if (order.do === 'stop') return order.why;
    if (order.do === 'wait') continue;
    const answer = await obey(order);
    await fetch(`/answer?page=${page}`, { method: 'POST', body: JSON.stringify(answer) });
    status.textContent = `${++passes} passes timed, the last in ${answer.ms?.toFixed(1)} ms`;
  }
}

// Who gave the orders is gone where nobody answers.
status.textContent = await serve().catch(() => 'the run is over');
