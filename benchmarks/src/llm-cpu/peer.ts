// llama.cpp in a process of its own, asked by lines of JSON; undefined where Python or the package is not there.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export interface Answer {
  readonly ms: number;
  readonly times: readonly number[];
  readonly version?: string;
}

export interface Peer extends Disposable {
  readonly version: string;
  readonly loadMs: number;
  ask(request: { readonly op: 'reset' | 'eval' | 'steps'; readonly ids?: readonly number[] }): Promise<Answer>;
}

/** @param python with `llama-cpp-python` installed: the variable LLAMA_PYTHON, or python3 */
export async function llamaCpp(
  model: string,
  { threads, context, log }: { threads: number; context: number; log: (line: string) => void },
): Promise<Peer | undefined> {
  const python = process.env['LLAMA_PYTHON'] ?? 'python3';
  const script = join(import.meta.dirname, 'llama-cpp.py');
  const child = spawn(python, [script, model, String(threads), String(context)], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  child.on('error', () => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Answer | undefined> => {
    const { done, value } = await lines.next();
    return done ? undefined : (JSON.parse(value) as Answer);
  };
  const ready = await next();
  if (!ready) {
    log(`no llama-cpp-python in ${python} (LLAMA_PYTHON): its rows are left out`);
    return undefined;
  }
  return {
    version: ready.version ?? '',
    loadMs: ready.ms,
    ask: async (request) => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const answer = await next();
      if (!answer) throw new Error(`llama.cpp ended during ${request.op}`);
      return answer;
    },
    [Symbol.dispose]: () => child.kill(),
  };
}
