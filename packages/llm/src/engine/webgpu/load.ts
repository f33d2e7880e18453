// A checkpoint's weights in GPU memory, ready for sequences: everything is allocated before anything is read.
import type { OpenCheckpoint } from '@hip/checkpoints';
import { contextOf, ModelPool, type GpuContext } from '@hip/kernels-webgpu';
import type { WebgpuChoice } from '../backend.ts';
import { translated } from '../failures.ts';
import { layerShapes } from '../layers.ts';
import { resolveOptions } from '../options.ts';
import type { EngineOptions } from '../types.ts';
import { planWeights } from '../weights.ts';
import { Activations } from './activations.ts';
import { MOST_TOGETHER } from './batch.ts';
import { GpuDecoder } from './decoder.ts';
import { WebgpuEngine } from './engine.ts';
import { modelLayers } from './layers.ts';
import { WebgpuModel } from './model.ts';
import { poolOptions, rowsOptions } from './plan.ts';
import { warm } from './warm.ts';
import { loadWebgpuWeights, webgpuWeightBytes } from './weights.ts';

/** @throws what `loadEngine` throws; nothing is left behind */
export async function loadWebgpu(
  checkpoint: OpenCheckpoint,
  options: EngineOptions,
  choice: WebgpuChoice,
): Promise<WebgpuEngine> {
  const { config } = checkpoint;
  const made: Disposable[] = [];
  let opened: { readonly device: GPUDevice; readonly isOwn: boolean } | undefined;
  try {
    const resolved = resolveOptions(options, config, 'webgpu');
    opened = await choice.open();
    const context = contextOf(opened.device);
    const shapes = layerShapes(config);
    const pool = new ModelPool(context, poolOptions(resolved, modelLayers(config, shapes, resolved.attention)));
    made.push({ [Symbol.dispose]: () => pool.destroy() });
    const activations = (rows: number): Activations => {
      const own = new Activations(context, config, shapes, { rows, ...rowsOptions(resolved) });
      made.push(own);
      return own;
    };
    const [chunk, steps] = [activations(resolved.rows), activations(MOST_TOGETHER)];
    const given = { ...options, weights: resolved.weights };
    let warmed: Promise<void> | undefined;
    const weights = await loadWebgpuWeights(context, checkpoint, given, async (own) => {
      await context.settled();
      const decoder = new GpuDecoder(context, config, shapes, own, resolved.cache);
      warmed = warm({ config, decoder, pool, chunk, steps, layers: shapes.length });
      // What it finds is thrown when the weights are there.
      warmed.catch(() => undefined);
    });
    made.push(weights);
    await warmed;
    await arrived(context);
    const decoder = new GpuDecoder(context, config, shapes, weights, resolved.cache);
    const plan = await planWeights(checkpoint, resolved.weights);
    const weightBytes = webgpuWeightBytes(plan, context.limits);
    const parts = { context, config, shapes, options: resolved, weights, weightBytes, decoder, pool, chunk, steps };
    return new WebgpuEngine(new WebgpuModel(parts), { reason: choice.reason, isOwn: opened.isOwn });
  } catch (error) {
    for (const each of made) each[Symbol.dispose]();
    if (opened?.isOwn) opened.device.destroy();
    throw translated(error);
  }
}

/** All that was written is on the GPU. */
async function arrived(context: GpuContext): Promise<void> {
  await context.orLost(context.device.queue.onSubmittedWorkDone());
  await context.settled();
}
