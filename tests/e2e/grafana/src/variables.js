// A dashboard's variables: their options from Prometheus, what is chosen, and the texts that they stand in.
import { escapeRegExp } from 'lodash';
import { get } from './prometheus.js';

const ALL = '$__all';
const VARIABLE = /\$(\w+)|\$\{(\w+)((?:\.\w+|\["[^"]+"\])*)(?::(\w+))?\}/g;

/** What is chosen in each variable, in their order: `wanted`, else everything where that can be chosen, else the first. */
export async function choose(dashboard, url, wanted, range) {
  const chosen = new Map();
  for (const variable of dashboard.templating.list) {
    const { name, type, includeAll, multi, allValue } = variable;
    if (type === 'datasource') {
      chosen.set(name, { values: ['prometheus'] });
      continue;
    }
    if (type === 'textbox') {
      chosen.set(name, { values: [wanted[name] ?? variable.query] });
      continue;
    }
    const options = await optionsOf(variable, url, chosen, range);
    const values = wanted[name] === undefined ? (includeAll ? [ALL] : options.slice(0, 1)) : [wanted[name]].flat();
    chosen.set(name, { values, options, multi: multi || includeAll, allValue });
  }
  return chosen;
}

async function optionsOf({ name, query }, url, chosen, range) {
  const [, selector, label] = query.query.match(/^label_values\((.+), (\w+)\)$/);
  const match = interpolate(selector, chosen);
  const parameters = { 'match[]': match, start: range.from / 1000, end: range.to / 1000 };
  const values = await get(url, `label/${label ?? name}/values`, parameters);
  return values.toSorted(new Intl.Collator(undefined, { numeric: true }).compare);
}

/** Fill the variables in a text of a query or, with a format, of a link. `more` are plain values by name. */
export function interpolate(text, chosen, more = {}, scopedVars = {}, format = undefined) {
  return text.replace(VARIABLE, (found, plain, braced, path, ownFormat) => {
    const name = plain ?? braced;
    if (name in more) {
      return more[name];
    }
    if (name === '__value' || name === '__data') {
      return encoded(ofRow(name, path, scopedVars), ownFormat ?? format);
    }
    return chosen.has(name) ? valueOf(name, chosen.get(name), ownFormat) : found;
  });
}

/** Grafana encodes links as `uriencode`, which keeps what has a meaning in an address, such as + and &. */
const ENCODINGS = { uriencode: encodeURI, percentencode: encodeURIComponent };
const encoded = (value, format) => (format in ENCODINGS ? strict(ENCODINGS[format](value)) : value);
const strict = (text) => text.replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);

function valueOf(name, { values, options, multi, allValue }, format) {
  if (format === 'queryparam') {
    return values.map((value) => `var-${name}=${encodeURIComponent(value)}`).join('&');
  }
  if (values.includes(ALL)) {
    return allValue ?? anyOf(options);
  }
  return multi ? anyOf(values) : values[0] ?? '';
}

/** A regular expression for one of the values, inside a PromQL string. */
function anyOf(values) {
  const escaped = values.map((value) => escapeRegExp(value).replaceAll('\\', '\\\\'));
  return escaped.length === 1 ? escaped[0] : `(${escaped.join('|')})`;
}

function ofRow(name, path, { __dataContext: context }) {
  const { frame, field, rowIndex, calculatedValue } = context.value;
  if (name === '__value') {
    return rowIndex === undefined ? calculatedValue.numeric : field.values[rowIndex];
  }
  const wanted = path.match(/^\.fields(?:\.(\w+)|\["([^"]+)"\])$/);
  const named = wanted && frame.fields.find((each) => each.name === (wanted[1] ?? wanted[2]));
  return named ? (named.values[rowIndex] ?? '') : '';
}
