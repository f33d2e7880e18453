// The public face of @hip/kernels-cpu.
export { createCpuRuntime, type CpuRuntime, type CpuRuntimeOptions, type DenseOptions, type MatmulOptions, type PhaseTimes, type ScoreOptions } from './runtime/runtime.ts';
export { planMemory, type MemoryPlan, type PlanInput } from './plan/plan.ts';
export { threadsAvailable } from './runtime/threads.ts';
export type { SimdChoice } from './wasm/binary.ts';
