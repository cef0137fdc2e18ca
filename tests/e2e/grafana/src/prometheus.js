// Prometheus' answers as Grafana's data frames: one frame a series, or one table a query.
import { FieldType } from '@grafana/data';

const MAX_DATA_POINTS = 1000;

/** The step of a range query, and the window of a rate, in seconds: as Grafana chooses them for a panel. */
export function steps(range, scrapeInterval) {
  const step = Math.max(scrapeInterval, Math.ceil((range.to - range.from) / 1000 / MAX_DATA_POINTS));
  return { step, rate: Math.max(step + scrapeInterval, 4 * scrapeInterval) };
}

/** Ask what a panel's target asks; an answer is {resultType, result}. Throws with Prometheus' own words. */
export async function query(url, target, expr, range, step) {
  const asked = target.instant
    ? ['query', { query: expr, time: range.to / 1000 }]
    : ['query_range', { query: expr, start: aligned(range.from, step), end: aligned(range.to, step), step }];
  return get(url, ...asked);
}

const aligned = (milliseconds, step) => Math.floor(milliseconds / 1000 / step) * step;

export async function get(url, path, parameters) {
  const answer = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== 'success') {
    throw new Error(body.error);
  }
  return body.data;
}

/** The frames of one target's answer. */
export function frames(target, expr, answer, step, targets) {
  const series = answer.resultType === 'scalar' ? [{ metric: {}, value: answer.result }] : answer.result;
  if (series.length === 0) {
    return [{ refId: target.refId, fields: [], length: 0 }];
  }
  if (target.format === 'table') {
    return [table(target, series, targets.length > 1)];
  }
  const named = series.map((each) => timeSeries(target, expr, each, step));
  return target.format === 'heatmap' ? [heatmap(target, named)] : named;
}

const samples = ({ values, value }) => (values ?? [value]).map(([at, text]) => [at * 1000, number(text)]);
const number = (text) => ({ '+Inf': Infinity, '-Inf': -Infinity })[text] ?? Number(text);

function timeSeries(target, expr, { metric, ...rest }, step) {
  const points = samples(rest);
  const { __name__: name, ...labels } = metric;
  const config = {};
  const legend = legendOf(target.legendFormat, metric, expr);
  if (legend) {
    config.displayNameFromDS = legend;
  }
  return {
    refId: target.refId,
    length: points.length,
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        config: target.instant ? {} : { interval: step * 1000 },
        values: points.map(([at]) => at),
      },
      { name: name ?? 'Value', type: FieldType.number, labels, config, values: points.map(([, value]) => value) },
    ],
  };
}

function legendOf(format, metric, expr) {
  const { __name__: name = '', ...labels } = metric;
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  if (format === '__auto') {
    return pairs.length ? '' : name || expr;
  }
  return format ? format.replace(/\{\{\s*(.+?)\s*\}\}/g, (_, label) => metric[label] ?? '') : name || expr;
}

function table(target, series, several) {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric)))];
  const rows = series.flatMap(({ metric, ...rest }) => samples(rest).map(([at, value]) => ({ metric, at, value })));
  return {
    refId: target.refId,
    length: rows.length,
    fields: [
      { name: 'Time', type: FieldType.time, config: {}, values: rows.map(({ at }) => at) },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        config: { filterable: true },
        values: rows.map(({ metric }) => metric[label] ?? ''),
      })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        config: {},
        values: rows.map(({ value }) => value),
      },
    ],
  };
}

/** Cumulative buckets as the count in each, from the lowest to the highest bound. */
function heatmap(target, series) {
  const bound = (frame) => number(frame.fields[1].labels.le);
  const sorted = series.toSorted((one, other) => bound(one) - bound(other));
  const times = [...new Set(sorted.flatMap((frame) => frame.fields[0].values))].sort((one, other) => one - other);
  const counts = sorted.map((frame) => new Map(frame.fields[0].values.map((at, i) => [at, frame.fields[1].values[i]])));
  return {
    refId: target.refId,
    length: times.length,
    fields: [
      { ...sorted[0].fields[0], values: times },
      ...sorted.map((frame, row) => ({
        ...frame.fields[1],
        values: times.map((at) => (counts[row].get(at) ?? 0) - (row ? (counts[row - 1].get(at) ?? 0) : 0)),
      })),
    ],
  };
}
