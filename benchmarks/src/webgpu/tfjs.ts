// What a web user has today: dense attention out of tfjs-webgpu's own operations, beside these kernels on the same device.
import * as tf from '@tensorflow/tfjs';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { flashAttention, hipAttention, registerWebgpuKernels } from '@hip/kernels-webgpu/tfjs';
import { contextOf, requestHipDevice, type GpuContext } from '@hip/kernels-webgpu';
import { median } from '../benchmark.ts';

const HEADS = 8;
const DIM = 64;

/** softmax(q·kᵀ/√d + mask)·v, [H, T, d] each: what one writes with tfjs. */
function denseTfjs(q: tf.Tensor3D, k: tf.Tensor3D, v: tf.Tensor3D, mask: tf.Tensor2D): tf.Tensor3D {
  return tf.tidy(() =>
    tf.matMul(
      tf.softmax(
        tf
          .matMul(q, k, false, true)
          .mul(1 / Math.sqrt(DIM))
          .add(mask),
      ),
      v,
    ),
  );
}

async function time(run: () => tf.Tensor, runs: number): Promise<number> {
  const times: number[] = [];
  for (let i = -1; i < runs; i++) {
    const start = performance.now();
    const out = run();
    // Reading a number waits for the queue.
    const probe = out.slice(
      out.shape.map(() => 0),
      out.shape.map(() => 1),
    );
    await probe.data();
    if (i >= 0) times.push(performance.now() - start);
    tf.dispose([out, probe]);
  }
  return median(times);
}

/** Wall time of causal attention, f32, 8 heads, d = 64, by length. */
export async function tfjsRows(
  { device }: GpuContext,
  {
    lengths = [1024, 2048, 4096, 8192],
    runs = 3,
    deadline = Infinity,
    log,
  }: { lengths?: readonly number[]; runs?: number; deadline?: number; log?: (line: string) => void } = {},
): Promise<Record<string, unknown>[]> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) return [{ what: 'tfjs', failure: 'no second adapter' }];
  const own = await requestHipDevice(adapter);
  // tfjs allocates a T×T tensor; where that fails, the device reports it without taking the process along.
  const failures: string[] = [];
  own.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    failures.push(event.error.message.slice(0, 200));
  });
  if (own === device) throw new Error('tfjs needs a device of its own here');
  // tfjs' own factory would request a device without the features that the faster kernels need.
  if (tf.findBackendFactory('webgpu')) tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => new WebGPUBackend(own, adapter.info), 3);
  await tf.setBackend('webgpu');
  const kernels = await registerWebgpuKernels();
  const rows: Record<string, unknown>[] = [];
  for (const tokens of lengths) {
    const values = tf.tidy(() =>
      [1, 2, 3].map((seed) => tf.randomNormal<tf.Rank.R3>([HEADS, tokens, DIM], 0, 1, 'float32', seed)),
    );
    const [q, k, v] = values as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
    const wide = values.map((x) => tf.tidy(() => tf.transpose(x, [1, 0, 2]).expandDims<tf.Tensor4D>(0))) as [
      tf.Tensor4D,
      tf.Tensor4D,
      tf.Tensor4D,
    ];
    // tfjs has no causal softmax: it adds a T×T tensor of zeros and minus infinities.
    const mask = tf.tidy(() =>
      tf
        .greaterEqual(tf.range(0, tokens).expandDims(1), tf.range(0, tokens).expandDims(0))
        .cast('float32')
        .sub(1)
        .mul<tf.Tensor2D>(1e9),
    );
    const candidates: Record<string, () => tf.Tensor> = {
      'tfjs-webgpu operations': () => denseTfjs(q, k, v, mask),
      flashAttention: () => flashAttention(...wide),
      hipAttention: () => hipAttention(...wide),
    };
    for (const [what, run] of Object.entries(candidates)) {
      if (performance.now() > deadline) break;
      failures.length = 0;
      const row: Record<string, unknown> = {
        what: `tfjs, ${what}`,
        tokens,
        heads: HEADS,
        headDim: DIM,
        type: 'f32',
        tier: contextOf(own).profile.tier,
      };
      try {
        row['wallMs'] = await time(run, runs);
        row['tensorBytes'] = what.startsWith('tfjs') ? 4 * HEADS * tokens * tokens : 0;
      } catch (error) {
        row['failure'] = String(error).slice(0, 200);
      }
      if (failures.length > 0) row['failure'] = failures[0];
      rows.push(row);
      log?.(JSON.stringify(row));
    }
    tf.dispose([...values, ...wide, mask]);
  }
  kernels.close();
  return rows;
}
