// Shapes: the one thing asked of them everywhere.

/** Elements of a tensor of this shape. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((size, extent) => size * extent, 1);
}
