// @hip/testing/gpu: WebGPU in Node without a test runner (benchmarks use it too).
export * from './open-gpu.ts';
