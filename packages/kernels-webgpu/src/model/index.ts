// @hip/kernels-webgpu/model: what a decoder needs besides attention, as passes of a call.
export { WEIGHT_TYPES, type WeightType } from './weights/types.ts';
export {
  createGpuMatrix,
  planMatrix,
  type GpuMatrix,
  type GpuMatrixOptions,
  type MatrixPart,
  type MatrixPlan,
} from './weights/matrix.ts';
export { type RowLayout } from './weights/layout.ts';
export {
  encodeGatedLinear,
  encodeLinear,
  type GatedLinearInputs,
  type GpuLinear,
  type GpuLinearTarget,
  type InputNorm,
  type LinearInputs,
  type ProductOptions,
} from './products/linear.ts';
export {
  planProduct,
  type PlannedPart,
  type PlannedTarget,
  type ProductDispatch,
  type ProductPlan,
  type ProductRequest,
  type ProductVariant,
} from './products/plan.ts';
export { type MatrixTiling } from './products/matrix-tiling.ts';
export { FEW_ROWS } from './products/row-code.ts';
export { SHORT_ROWS } from './products/plan.ts';
export { type ActivationFunction } from './rows/activation-code.ts';
export { encodeNorm, type NormOptions } from './rows/norm.ts';
export { encodePadHeads } from './rows/pad-heads.ts';
export { encodeRotate, type RotatedHeads, type RotateOptions } from './rows/rotate.ts';
export { encodeAddScaled, encodeGate, encodeScale, encodeSoftcap } from './rows/elements.ts';
export { encodeEmbed } from './rows/embed.ts';
export { encodeFinite, nonFiniteRow } from './rows/finite.ts';
export {
  encodeTop,
  MOST_CANDIDATES,
  planTop,
  readTop,
  topBytes,
  type Candidates,
  type TopOptions,
} from './logits/top.ts';
export { encodeLosses } from './logits/losses.ts';
