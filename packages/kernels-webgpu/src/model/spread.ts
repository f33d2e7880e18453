// Workgroups over two dimensions where one does not hold them; index = y · number of x + x.
import type { DeviceLimits } from '../device/limits.ts';

/** At least `count` workgroups. */
export function spreadRows(
  count: number,
  { maxComputeWorkgroupsPerDimension: most }: Pick<DeviceLimits, 'maxComputeWorkgroupsPerDimension'>,
): [x: number, y: number] {
  const y = Math.ceil(count / most);
  return [Math.ceil(count / y), y];
}
