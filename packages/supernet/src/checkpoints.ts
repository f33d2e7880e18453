// What moved to @hip/checkpoints, exported from here for one more version.

export {
  /** @deprecated Import it from `@hip/checkpoints`. */
  blobSource,
  /** @deprecated Import it from `@hip/checkpoints`. */
  createTokenizer,
  /** @deprecated Import it from `@hip/checkpoints`. */
  decodeTensor,
  /** @deprecated Import it from `@hip/checkpoints`. */
  DTYPE_BYTES,
  /** @deprecated Import it from `@hip/checkpoints`. */
  encodeFloats,
  /** @deprecated Import it from `@hip/checkpoints`. */
  families,
  /** @deprecated Import it from `@hip/checkpoints`. */
  fileSource,
  /** @deprecated Import it from `@hip/checkpoints`. */
  findFamily,
  /** @deprecated Import it from `@hip/checkpoints`. */
  folderFiles,
  /** @deprecated Import it from `@hip/checkpoints`. */
  headGroup,
  /** @deprecated Import it from `@hip/checkpoints`. */
  httpFiles,
  /** @deprecated Import it from `@hip/checkpoints`. */
  httpSource,
  /** @deprecated Import it from `@hip/checkpoints`. */
  hubFiles,
  /** @deprecated Import it from `@hip/checkpoints`. */
  layerFfn,
  /** @deprecated Import it from `@hip/checkpoints`. */
  layerHeads,
  /** @deprecated Import it from `@hip/checkpoints`. */
  loadTokenizer,
  /** @deprecated Import it from `@hip/checkpoints`. */
  MAX_HEADER_BYTES,
  /** @deprecated Import it from `@hip/checkpoints`. */
  memoryFiles,
  /** @deprecated Import it from `@hip/checkpoints`. */
  memorySource,
  /** @deprecated Import it from `@hip/checkpoints`. */
  openSafetensors,
  /** @deprecated Import it from `@hip/checkpoints`. */
  readJson,
  /** @deprecated Import it from `@hip/checkpoints`. */
  request,
  /** @deprecated Import it from `@hip/checkpoints`. */
  safetensorsChunks,
  /** @deprecated Import it from `@hip/checkpoints`. */
  tensorBytes,
  /** @deprecated Import it from `@hip/checkpoints`. */
  weightSlots,
  /** @deprecated Import it from `@hip/checkpoints`. */
  writeSafetensors,
} from '@hip/checkpoints';
export type {
  /** @deprecated Import it from `@hip/checkpoints`. */
  Activation,
  /** @deprecated Import it from `@hip/checkpoints`. */
  ByteSource,
  /** @deprecated Import it from `@hip/checkpoints`. */
  CheckpointFiles,
  /** @deprecated Import it from `@hip/checkpoints`. */
  ElasticAxis,
  /** @deprecated Import it from `@hip/checkpoints`. */
  Family,
  /** @deprecated Import it from `@hip/checkpoints`. */
  FamilyName,
  /** @deprecated Import it from `@hip/checkpoints`. */
  FloatDtype,
  /** @deprecated Import it from `@hip/checkpoints`. */
  HeadKind,
  /** @deprecated Import it from `@hip/checkpoints`. */
  HttpSourceOptions,
  /** @deprecated Import it from `@hip/checkpoints`. */
  HubLibrary,
  /** @deprecated Import it from `@hip/checkpoints`. */
  HubOptions,
  /** @deprecated Import it from `@hip/checkpoints`. */
  LoadedTensor,
  /** @deprecated Import it from `@hip/checkpoints`. */
  ModelConfig,
  /** @deprecated Import it from `@hip/checkpoints`. */
  NameTable,
  /** @deprecated Import it from `@hip/checkpoints`. */
  PatchConfig,
  /** @deprecated Import it from `@hip/checkpoints`. */
  Readout,
  /** @deprecated Import it from `@hip/checkpoints`. */
  RopeConfig,
  /** @deprecated Import it from `@hip/checkpoints`. */
  SafetensorsDamage,
  /** @deprecated Import it from `@hip/checkpoints`. */
  SafetensorsDtype,
  /** @deprecated Import it from `@hip/checkpoints`. */
  SafetensorsFile,
  /** @deprecated Import it from `@hip/checkpoints`. */
  SafetensorsHeader,
  /** @deprecated Import it from `@hip/checkpoints`. */
  TensorBinding,
  /** @deprecated Import it from `@hip/checkpoints`. */
  TensorData,
  /** @deprecated Import it from `@hip/checkpoints`. */
  TensorInfo,
  /** @deprecated Import it from `@hip/checkpoints`. */
  TensorName,
  /** @deprecated Import it from `@hip/checkpoints`. */
  TensorToWrite,
  /** @deprecated Import it from `@hip/checkpoints`. */
  TensorTransform,
  /** @deprecated Import it from `@hip/checkpoints`. */
  TextTokenizer,
  /** @deprecated Import it from `@hip/checkpoints`. */
  WeightSlot,
} from '@hip/checkpoints';
export {
  /** @deprecated Import it from `@hip/checkpoints/generation`. */
  createSampler,
} from '@hip/checkpoints/generation';
export type {
  /** @deprecated Import it from `@hip/checkpoints/generation`. */
  Sampler,
  /** @deprecated Import it from `@hip/checkpoints/generation`. */
  SamplingOptions,
} from '@hip/checkpoints/generation';
