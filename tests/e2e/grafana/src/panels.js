// From a dashboard and its Prometheus to what each panel shows, through Grafana's own pipeline.
import {
  FieldType,
  applyFieldOverrides,
  cacheFieldDisplayNames,
  colorManipulator,
  createTheme,
  dateTime,
  getFieldDisplayName,
  getFieldDisplayValues,
  sortDataFrame,
  toDataFrame,
  transformDataFrame,
} from '@grafana/data';
import { firstValueFrom } from 'rxjs';
import { fieldConfigOf, registryOf } from './fields.js';
import { frames, query, steps } from './prometheus.js';
import { choose, interpolate } from './variables.js';

export const theme = createTheme({ colors: { mode: 'dark' } });
const COLOR_NAMES = ['text', 'green', 'orange', 'red', 'yellow', 'blue', 'purple', 'gray'];

/** Ask for all that a dashboard shows: {dashboard, range, chosen, answers by panel}; it can be stored as JSON. */
export async function collect(dashboard, { url, range, scrapeInterval, variables }) {
  const chosen = await choose(dashboard, url, variables, range);
  const { step, rate } = steps(range, scrapeInterval);
  const more = { __rate_interval: `${rate}s` };
  const answers = await Promise.all(
    unfolded(dashboard).map(async ({ targets = [] }) => {
      try {
        return await Promise.all(
          targets.map(async (target) => {
            const expr = interpolate(target.expr, chosen, more);
            return { expr, ...(await query(url, target, expr, range, step)) };
          })
        );
      } catch (error) {
        return { error: error.message };
      }
    })
  );
  return { dashboard, range, step, chosen: [...chosen], answers };
}

/** Every panel, rows and what is folded away in them included. */
export const unfolded = ({ panels }) => panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]);

/** Each panel with its frames as Grafana would hand them to the panel's component. */
export async function prepare({ dashboard, range, step, chosen, answers }) {
  const variables = new Map(chosen);
  const link = { __url_time_range: `from=${range.from}&to=${range.to}` };
  const replaceVariables = (text, scopedVars = {}, format = undefined) =>
    interpolate(text, variables, link, scopedVars, format);
  const timeRange = { from: dateTime(range.from), to: dateTime(range.to), raw: { from: 'now', to: 'now' } };
  return Promise.all(
    unfolded(dashboard).map(async (panel, index) => {
      const { targets = [] } = panel;
      const answer = answers[index];
      if (answer.error || panel.type === 'row') {
        return { panel, error: answer.error, series: [], replaceVariables, timeRange };
      }
      const raw = targets.flatMap((target, i) => frames(target, answer[i].expr, answer[i], step, targets));
      const transformed = await firstValueFrom(
        transformDataFrame(panel.transformations ?? [], raw.map(toDataFrame), { interpolate: (text) => text })
      );
      const fieldConfig = fieldConfigOf(panel);
      const series = applyFieldOverrides({
        data: transformed,
        fieldConfig,
        fieldConfigRegistry: registryOf(fieldConfig),
        replaceVariables,
        theme,
        timeZone: 'utc',
      });
      cacheFieldDisplayNames(series);
      const empty = targets.filter((_, i) => answer[i].result.length === 0).map(({ refId }) => refId);
      return { panel, fieldConfig, series, empty, replaceVariables, timeRange };
    })
  );
}

/** The values of a panel that shows one thing per series. */
export function values({ panel, fieldConfig, series, replaceVariables }) {
  const reduceOptions = { calcs: [], values: false, fields: '', ...panel.options.reduceOptions };
  const options = { data: series, fieldConfig, reduceOptions, replaceVariables, theme, timeZone: 'utc' };
  return getFieldDisplayValues({ ...options, sparkline: panel.options.graphMode === 'area' });
}

/** What a viewer reads in a panel. */
export function shown(prepared) {
  const { panel, error } = prepared;
  const kind = { title: panel.title, type: panel.type, ...(error && { error }) };
  if (error || panel.type === 'row') {
    return kind;
  }
  return { ...kind, empty: prepared.empty, ...KINDS[panel.type](prepared) };
}

const KINDS = { stat: tiles, bargauge: tiles, table: rows, timeseries: lines, heatmap: cells, xychart: curves, barchart: stacks };

function tiles(prepared) {
  const { textMode } = prepared.panel.options;
  const all = values(prepared);
  return {
    tiles: all.map(({ display, field }) => ({
      ...look(display),
      name: display.title ?? '',
      text: textMode === 'name' ? (display.title ?? '') : textOf(display),
      unit: field.unit,
      min: field.min ?? null,
      max: field.max ?? null,
      numeric: Number.isFinite(display.numeric) ? display.numeric : null,
    })),
  };
}

function rows({ panel, series }) {
  const [frame] = series;
  const fields = frame?.fields ?? [];
  return {
    rows: order(panel, frame, series).map((valueRowIndex) =>
      Object.fromEntries(
        fields.map((field) => {
          const value = field.values[valueRowIndex];
          const display = field.display(value);
          const links = field.getLinks({ valueRowIndex }).map(({ href }) => href);
          const colored = field.config.custom?.cellOptions?.type?.startsWith('color-');
          const cell = { text: textOf(display), value: value ?? null, unit: field.config.unit ?? null, links };
          return [getFieldDisplayName(field, frame, series), colored ? { ...cell, color: look(display).color } : cell];
        })
      )
    ),
  };
}

/** The indices of a table's rows as it sorts them. */
function order({ options }, frame, series) {
  const indices = Array.from({ length: frame?.length ?? 0 }, (_, index) => index);
  const [{ displayName, desc }] = options.sortBy;
  const key = frame?.fields.findIndex((field) => getFieldDisplayName(field, frame, series) === displayName) ?? -1;
  if (key < 0) {
    return indices;
  }
  const indexed = [...frame.fields, { name: '', type: FieldType.number, config: {}, values: indices }];
  return sortDataFrame({ ...frame, fields: indexed }, key, desc).fields.at(-1).values;
}

function lines({ series }) {
  const numeric = (frame) => frame.fields.filter((field) => field.type === FieldType.number);
  return {
    lines: series.flatMap((frame) =>
      numeric(frame).map((field) => {
        const last = field.values.at(-1);
        const at = frame.fields[0].values.at(-1);
        return { name: getFieldDisplayName(field, frame, series), text: textOf(field.display(last)), at, points: field.values.length };
      })
    ),
  };
}

function cells({ series }) {
  const [frame] = series;
  const [, ...buckets] = frame?.fields ?? [];
  return { buckets: buckets.map((field) => ({ name: getFieldDisplayName(field, frame, series), last: field.values.at(-1) })) };
}

/** The series of an XY chart: each number beside the one that its x names, by rows. */
export function xySeries({ panel, series }) {
  const { options: name } = panel.options.series[0].x.matcher;
  return series.flatMap((frame) => {
    const numbers = frame.fields.filter((field) => field.type === FieldType.number);
    const title = (field) => getFieldDisplayName(field, frame, series);
    const x = numbers.find((field) => title(field) === name);
    return x ? numbers.filter((field) => field !== x).map((y) => ({ name: title(y), x, y })) : [];
  });
}

function curves(prepared) {
  const text = (field) => field.values.map((value) => textOf(field.display(value)));
  return {
    curves: xySeries(prepared).map(({ name, x, y }) => ({
      name,
      x: text(x),
      y: text(y),
      known: [...x.values, ...y.values].every(Number.isFinite),
    })),
  };
}

/** The bars of a stacked chart by name: where each series' part begins and ends, above zero and below it apart. */
export function stackedBars({ panel, series }) {
  const [frame] = series;
  const names = frame?.fields.find((field) => field.name === panel.options.xField);
  const parts = frame?.fields.filter((field) => field.type === FieldType.number) ?? [];
  return (names?.values ?? []).map((name, row) => {
    const ends = { up: 0, down: 0 };
    const stacked = parts.map((field) => {
      const value = field.values[row] ?? 0;
      const side = value < 0 ? 'down' : 'up';
      const from = ends[side];
      ends[side] += value;
      return { series: getFieldDisplayName(field, frame, series), color: field.config.color.fixedColor, from, to: ends[side] };
    });
    return { name, parts: stacked.filter(({ from, to, color }) => from !== to && color !== 'transparent') };
  });
}

function stacks(prepared) {
  return { bars: stackedBars(prepared) };
}

const textOf = ({ prefix = '', text, suffix = '' }) => `${prefix}${text}${suffix}`;

function look({ color }) {
  const named = COLOR_NAMES.find((name) => same(theme.visualization.getColorByName(name), color));
  return { color: named ?? color };
}

const same = (one, other) => colorManipulator.asHexString(one) === colorManipulator.asHexString(other);
