// Encodes the gradients of attention into a call.
import { checkScore, type AttentionShape } from '@hip/mask-search';
import { accessOf } from '../device/features.ts';
import type { Binding, GpuCall } from '../dispatch/call.ts';
import type { GpuTensor } from '../dispatch/tensor.ts';
import { limitError } from '../errors/gpu-errors.ts';
import { checkAttention, dispatchParams, planOf, rangeOf, type AttentionOptions } from './dispatch.ts';
import { encodeRemainder, encodeSpread } from '../remainder/encode.ts';
import { meansBytes } from '../remainder/layout.ts';
import { pseudoGradientCode } from './gradient-pseudo-code.ts';
import { gradientCode, type GradientPass } from './gradient-code.ts';
import type { GpuMask } from './mask.ts';
import type { AttentionPlan } from './plan.ts';
import { TILE_KEYS } from './tile-parts.ts';
import type { TileVariant } from './variants.ts';

/** Inputs, the gradient of the loss by the output (laid out like q), and where the gradients by q, k and v go. */
export interface GradientTensors {
  readonly q: GpuTensor;
  readonly k: GpuTensor;
  readonly v: GpuTensor;
  readonly gradient: GpuTensor;
  readonly dq: GpuTensor;
  readonly dk: GpuTensor;
  readonly dv: GpuTensor;
}

/** Room for the key passes' own workgroup variables beside the tile's. */
const RESERVED = TILE_KEYS * 8 + 64 * 4 + 16;

/**
 * Adds the gradients of {@link encodeAttention} to a call; the mask is held fixed. Extra memory: 8 bytes per row and head.
 * Four passes: row statistics, dq, dk, dv. All of q, and all of k, must fit one binding. A pseudo-key's gradients spread evenly over its
 * block's keys and values; how many keys it stands for is constant: five passes more, and as much memory as the means take.
 *
 * @throws HipError `invalid-shape`, `invalid-config`, `unsupported`
 */
export function encodeAttentionGradient(
  call: GpuCall,
  tensors: GradientTensors,
  shape: AttentionShape,
  mask: GpuMask | undefined,
  options: Omit<AttentionOptions, 'variant' | 'matrices'> & { readonly variant?: TileVariant | undefined } = {},
): AttentionPlan {
  const { q, k, v, gradient, dq, dk, dv } = tensors;
  const { context } = call;
  const { tier = context.profile.tier, label = 'attention', queryHeads = shape.heads, headFirst = 0 } = options;
  checkAttention({ q, k, v, out: gradient }, shape, mask, queryHeads, headFirst);
  checkAttention({ q: dq, k: dk, v: dv, out: dq }, shape, mask, queryHeads, headFirst);
  checkScore(options);
  const limits = {
    ...context.limits,
    maxComputeWorkgroupStorageSize: context.limits.maxComputeWorkgroupStorageSize - RESERVED,
  };
  const plan = planOf({ context: { profile: context.profile, limits } }, shape, q.type, mask, {
    ...options,
    tier: tier === 'basic' ? 'basic' : 'subgroups',
  });
  const { variant } = plan;
  const split = plan.dispatches.find((d) => d.carry.out || d.rowFirst > 0 || d.rowEnd < shape.queries);
  if (split || variant.kind !== 'tile') {
    const bytes = Math.max(split?.query.size ?? 0, split?.key.size ?? 0);
    throw limitError(
      'maxStorageBufferBindingSize',
      bytes + 1,
      limits.maxStorageBufferBindingSize,
      'gradients need all rows and keys of a batch element in one binding: use fewer heads per call',
    );
  }
  const { batch, queries, keys, heads, kvHeads, headDim } = shape;
  const statsBytes = 8 * batch * queries * heads;
  const stats = { buffer: call.scratch(statsBytes, 'row statistics'), size: statsBytes };
  const pseudo = mask && encodeRemainder(call, { k, v }, shape, mask, limits);
  const meanGradients = pseudo && {
    buffer: call.scratch(meansBytes(shape, pseudo.layout, 'f32'), 'gradients of means'),
    size: meansBytes(shape, pseudo.layout, 'f32'),
  };
  const access = accessOf(q.type, context.profile);
  const sizes = { headDim, rows: variant.rows, chunk: variant.chunk, shuffle: variant.shuffle };
  for (const dispatch of plan.dispatches) {
    const uniform = dispatchParams(shape, plan, dispatch, mask, options, pseudo);
    const inputs: Record<string, Binding> = {
      q: rangeOf(q, dispatch.query),
      k: rangeOf(k, dispatch.key),
      v: rangeOf(v, dispatch.key),
      g: rangeOf(gradient, dispatch.query),
    };
    const selection = mask ? [mask.starts, mask.counts] : [];
    const pass = (
      name: GradientPass,
      uniforms: ArrayBuffer,
      out: Binding | undefined,
      workgroups: [number, number, number],
      ofMeans = false,
    ): void => {
      const kernel = { ...sizes, pass: name, access, sparse: mask !== undefined };
      call.pass({
        label: `${label}/gradient-${ofMeans ? 'pseudo-' : ''}${name}`,
        pipeline: {
          label: `attention gradient ${ofMeans ? 'of pseudo-keys, ' : ''}${name}`,
          code: ofMeans ? pseudoGradientCode(kernel) : gradientCode(kernel),
        },
        bindings: [
          { uniform: uniforms },
          inputs['q']!,
          ...(ofMeans ? [] : [inputs['k']!]),
          ...(ofMeans || name === 'value' ? [] : [inputs['v']!]),
          inputs['g']!,
          stats,
          ...(ofMeans ? [] : selection),
          ...(out ? [out] : []),
          ...(ofMeans ? [pseudo!.means, pseudo!.list] : []),
        ],
        workgroups,
      });
    };
    const rowGroups: [number, number, number] = [dispatch.tiles, heads, dispatch.batches];
    const keyGroups: [number, number, number] = [Math.ceil(keys / variant.rows), kvHeads, dispatch.batches];
    // Without a mask, a tile of rows is its own query block.
    const keyUniform = mask ? uniform : dispatchParams(shape, { ...plan, blockQ: TILE_KEYS }, dispatch, mask, options);
    pass('rows', uniform, undefined, rowGroups);
    if (pseudo) pass('rows', uniform, undefined, rowGroups, true);
    pass('query', uniform, rangeOf(dq, dispatch.query), rowGroups);
    if (pseudo) pass('query', uniform, rangeOf(dq, dispatch.query), rowGroups, true);
    pass('key', keyUniform, rangeOf(dk, dispatch.key), keyGroups);
    pass('value', keyUniform, rangeOf(dv, dispatch.key), keyGroups);
    if (pseudo && meanGradients) {
      const meanGroups: [number, number, number] = [
        Math.ceil(pseudo.layout.rows / variant.rows),
        kvHeads,
        dispatch.batches,
      ];
      pass('key', uniform, meanGradients, meanGroups, true);
      pass('value', uniform, meanGradients, meanGroups, true);
    }
  }
  if (pseudo && meanGradients)
    encodeSpread(call, limits, { dk, dv, shape, gradients: meanGradients, layout: pseudo.layout });
  return plan;
}
