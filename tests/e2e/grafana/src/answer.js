// Reads {dashboards, url, range, scrapeInterval, variables} as JSON; writes what each dashboard's panels show, and its data.
import { readFileSync } from 'node:fs';
import { JSDOM } from 'jsdom';

globalThis.window = new JSDOM('', { url: 'http://localhost/' }).window;
globalThis.document = window.document;
globalThis.navigator ??= window.navigator;

const { begin } = await import('./fields.js');
const { collect, prepare, shown } = await import('./panels.js');

begin();
const { dashboards, ...asked } = JSON.parse(readFileSync(0, 'utf8'));
const answers = {};
for (const [name, dashboard] of Object.entries(dashboards)) {
  const data = await collect(dashboard, asked);
  answers[name] = { data, panels: (await prepare(data)).map(shown) };
}
process.stdout.write(JSON.stringify(answers));
