// @hip/onnx/model: ONNX models as files, read and written; no kernels, no onnxruntime.
export { OnnxError, type OnnxErrorCode } from './errors.ts';
export { bytesOf, DATA_TYPES, dataTypeName, type DataTypeName } from './model/data-types.ts';
export { bytesFile, folderFiles, memoryFiles, type OnnxFile, type OnnxFiles } from './model/files.ts';
export { openOnnxModel, type OnnxModel, type OpenOnnxOptions } from './model/open.ts';
export { bytesWeight, type OnnxWeight } from './model/weight.ts';
export {
  onnxByteLength,
  onnxModelBytes,
  renderedBytes,
  renderOnnxModel,
  type OnnxModelToWrite,
  type RenderedOnnxFile,
  type RenderOnnxOptions,
} from './model/render.ts';
export { writeOnnxModel } from './model/write.ts';
export { checkGraph, nodeLabel, readsOf } from './model/graph.ts';
export { graphsOf, tensorsOf } from './model/walk.ts';
export {
  ATTRIBUTE_TYPES,
  attributeOf,
  onnxAttribute,
  onnxGraph,
  onnxModel,
  onnxNode,
  onnxTensor,
  onnxValue,
  tensorTypeOf,
  type AttributeValue,
} from './model/build.ts';
export { groupQueryModel, type GroupQueryOptions } from './model/group-query.ts';
export type * from './model/types.ts';
