// Reads {views: [{dashboard, variables}], url, range, scrapeInterval} as JSON; writes what each view shows, and its data.
import { readFileSync } from 'node:fs';
import { JSDOM } from 'jsdom';

globalThis.window = new JSDOM('', { url: 'http://localhost/' }).window;
globalThis.document = window.document;
globalThis.navigator ??= window.navigator;

const { begin } = await import('./fields.js');
const { collect, prepare, shown } = await import('./panels.js');

begin();
const { views, ...asked } = JSON.parse(readFileSync(0, 'utf8'));
const answers = [];
for (const { dashboard, variables } of views) {
  const data = await collect(dashboard, { ...asked, variables });
  answers.push({ data, panels: (await prepare(data)).map(shown) });
}
process.stdout.write(JSON.stringify(answers));
