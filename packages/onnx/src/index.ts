// @hip/onnx: HiP inside ONNX language models.
export { OnnxError, type OnnxErrorCode } from './errors.ts';
