// A worker thread that runs the pipeline, so that the server answers while kernels compute.
import { parentPort, workerData } from 'node:worker_threads';
import { isAbort, reportError } from '../cli/end.ts';
import { DEFAULT_MODEL } from '../pipeline/model.ts';
import { resolveOptions } from '../pipeline/options.ts';
import { runDemo } from '../pipeline/run.ts';
import { RunState } from '../pipeline/state.ts';
import type { RunEnd, RunMessage, StartRequest } from './messages.ts';

export interface WorkerInput extends StartRequest {
  readonly out: string;
}

const { input, resume, out } = workerData as WorkerInput;
const port = parentPort!;
const controller = new AbortController();
port.on('message', () => controller.abort(new Error('stopped from the page')));
port.unref();

const send = (message: RunMessage): void => port.postMessage(message);

async function run(): Promise<Omit<RunEnd, 'type'>> {
  try {
    const state = resume ? RunState.open(out) : undefined;
    const options = state?.options ?? resolveOptions(input, DEFAULT_MODEL);
    await runDemo({ options, out, ...(state && { state }), signal: controller.signal, onEvent: send });
    return { status: 0, message: 'done' };
  } catch (error) {
    if (isAbort(error, controller.signal)) return { status: 130, message: 'stopped; everything finished is kept' };
    let message = '';
    const status = reportError(error, { write: (text) => (message += text) });
    return { status, message: message.trim() };
  }
}

send({ type: 'end', ...(await run()) });
// The kernels' own threads would keep this one up.
process.exit();
