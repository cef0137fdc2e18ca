// Bundles what runs in Node and what runs in a browser into build/.
import { build } from 'esbuild';

const common = { bundle: true, outdir: 'build', logLevel: 'warning', define: { 'process.env.NODE_ENV': '"production"' } };
await Promise.all([
  build({ ...common, entryPoints: ['src/answer.js'], platform: 'node', format: 'esm', outExtension: { '.js': '.mjs' }, external: ['jsdom'] }),
  build({
    ...common,
    entryPoints: ['src/draw.jsx'],
    jsx: 'automatic',
    minify: true,
    loader: { '.svg': 'dataurl', '.ttf': 'dataurl' },
  }),
]);
