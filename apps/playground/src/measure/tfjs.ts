// tensorflow.js: attention out of its own operations, softmax(q·kᵀ/√d)·v with the scores as a tensor.
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { PlaygroundError } from '../rpc/protocol.ts';
import { headsFirst, type Inputs } from './inputs.ts';
import { CYCLE, type Opened } from './opened.ts';
import type { Device } from './protocol.ts';

/** Bytes of a score tensor, of which there are several at a time. */
const MOST_BYTES: Readonly<Record<Device, number>> = { wasm: 2 ** 28, webgpu: 2 ** 30 };

async function setBackend(device: Device, wasmPaths: string): Promise<void> {
  if (tf.getBackend() === device) return;
  if (device === 'webgpu') await import('@tensorflow/tfjs-backend-webgpu');
  else {
    setWasmPaths(wasmPaths);
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  }
  if (!(await tf.setBackend(device).catch(() => false)))
    throw new PlaygroundError('peer-missing', `tensorflow.js does not start its backend ${device} in this browser`);
  await tf.ready();
}

/** @throws PlaygroundError `too-large`, `peer-missing` */
export async function openTfjs(device: Device, inputs: Inputs, wasmPaths: string): Promise<Opened> {
  const { part, tokens, queries, heads, kvHeads, headDim, q, k, v } = inputs;
  const bytes = 4 * heads * queries * tokens;
  if (bytes > MOST_BYTES[device]) {
    const message = `its scores are tensors of ${(bytes / 2 ** 20).toFixed(0)} MiB each; more than ${MOST_BYTES[device] / 2 ** 20} MiB are not tried`;
    throw new PlaygroundError('too-large', message);
  }
  await setBackend(device, wasmPaths);
  // Query heads of a group are rows of one product.
  const rows = (queries * heads) / kvHeads;
  const keys = (x: Float32Array): tf.Tensor3D =>
    tf.tensor3d(headsFirst(x, tokens, kvHeads, headDim), [kvHeads, tokens, headDim]);
  const [a, b, c] = [
    tf.tensor3d(headsFirst(q, queries, heads, headDim), [kvHeads, rows, headDim]),
    keys(k),
    keys(v),
  ] as const;
  const hidden =
    part === 'prefill'
      ? tf.tidy(() => tf.mul(tf.sub(1, tf.linalg.bandPart(tf.ones([tokens, tokens]), -1, 0)), -1e9))
      : undefined;
  const attend = (): tf.Tensor =>
    tf.tidy(() => {
      const scores = tf.mul(tf.matMul(a, b, false, true), 1 / Math.sqrt(headDim));
      return tf.matMul(tf.softmax(hidden ? tf.add(scores, hidden) : scores), c);
    });
  const perRun = part === 'prefill' ? 1 : CYCLE;
  return {
    name: 'tfjs',
    perRun,
    run: async () => {
      let out: tf.Tensor | undefined;
      for (let i = 0; i < perRun; i++) {
        out?.dispose();
        out = attend();
      }
      // Reading a number waits for the device.
      const probe = tf.slice(out!, [0, 0, 0], [1, 1, 1]);
      await probe.data();
      tf.dispose([out!, probe]);
    },
    output: async () => {
      const out = attend();
      const data = (await out.data()) as Float32Array;
      out.dispose();
      // [H, Tq, d] as [Tq, H, d].
      return headsFirst(data, heads, queries, headDim);
    },
    close: () => tf.dispose(hidden ? [a, b, c, hidden] : [a, b, c]),
  };
}
