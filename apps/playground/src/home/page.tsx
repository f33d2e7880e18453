// The first page: what there is to see, and what this browser has for it.
import { useEffect, useState } from 'preact/hooks';
import { PAGES } from '../../build/pages.ts';

async function findGpu(): Promise<string> {
  const { gpu } = navigator as { readonly gpu?: GPU };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (!adapter) return 'no WebGPU: WebAssembly computes';
  const { description, vendor, isFallbackAdapter } = adapter.info;
  return `WebGPU on ${description || vendor || 'a GPU'}${isFallbackAdapter ? ', computed in software: WebAssembly is faster' : ''}`;
}

export function HomePage() {
  const [gpu, setGpu] = useState('looks for WebGPU …');
  useEffect(() => void findGpu().then(setGpu), []);
  const threads = crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  return (
    <>
      <ul class="cards">
        {PAGES.filter(({ path }) => path !== '').map(({ path, name, lead }) => (
          <li key={path}>
            <section>
              <h2>
                <a href={`./${path}/`}>{name}</a>
              </h2>
              <p>{lead}</p>
            </section>
          </li>
        ))}
      </ul>
      <p class="status" role="status">
        This browser: {gpu}; {threads === 1 ? 'one thread' : `${threads} threads`} for WebAssembly.
      </p>
    </>
  );
}
