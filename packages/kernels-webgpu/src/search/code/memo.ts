// Generated code by what it was generated from: a prefill in chunks plans the same kernels again and again.

const generated = new WeakMap<(spec: never) => string, Map<string, string>>();

/** `generate(spec)`, once for equal specs. @param spec plain data */
export function memoCode<S>(generate: (spec: S) => string, spec: S): string {
  let known = generated.get(generate);
  if (!known) generated.set(generate, (known = new Map()));
  const key = JSON.stringify(spec);
  let code = known.get(key);
  if (code === undefined) known.set(key, (code = generate(spec)));
  return code;
}
