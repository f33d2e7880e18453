// Whether a device multiplies 16×16×16 matrices (f16 in, f32 out), where its adapter does not list what it multiplies.

/** Dawn's name of the experimental feature; not in the types of the standard. */
export const SUBGROUP_MATRIX_FEATURE = 'chromium-experimental-subgroup-matrix';

const probed = new WeakMap<object, boolean>();

const probe = (lanes: number): string => `enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
@group(0) @binding(0) var<storage, read> a: array<f16>;
@group(0) @binding(1) var<storage, read_write> c: array<f32>;
@compute @workgroup_size(${lanes}) fn main() {
  let left = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&a, 0, 16);
  let right = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&a, 0, 16);
  var sum = subgroup_matrix_result<f32, 16, 16>();
  sum = subgroupMatrixMultiplyAccumulate(left, right, sum);
  subgroupMatrixStore<row_major>(&c, 0, sum, 16);
}`;

/**
 * Compiles a small matrix kernel, once per device, and remembers whether that worked; the profile of the device goes by it. Dawn in
 * Node has the feature, but its `adapterInfo.subgroupMatrixConfigs` is empty.
 */
export async function probeMatrices(device: GPUDevice): Promise<boolean> {
  const known = probed.get(device);
  if (known !== undefined) return known;
  let works = false;
  const features: ReadonlySet<string> = device.features;
  if (['shader-f16', 'subgroups', SUBGROUP_MATRIX_FEATURE].every((feature) => features.has(feature))) {
    device.pushErrorScope('validation');
    try {
      const module = device.createShaderModule({
        label: 'matrix probe',
        code: probe(device.adapterInfo.subgroupMaxSize),
      });
      await device.createComputePipelineAsync({ layout: 'auto', compute: { module, entryPoint: 'main' } });
      works = true;
    } catch {
      // No such matrices: the lower tiers serve.
    }
    if (await device.popErrorScope()) works = false;
  }
  probed.set(device, works);
  return works;
}

/** What {@link probeMatrices} found; undefined before. */
export function probedMatrices(device: object): boolean | undefined {
  return probed.get(device);
}
