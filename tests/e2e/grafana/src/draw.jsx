// Draws a dashboard's data with Grafana's own components: draw(data, width) fills the page and resolves with its height.
import { FieldType, VizOrientation, getDisplayValueAlignmentFactors, getFieldDisplayName } from '@grafana/data';
import { initPluginTranslations } from '@grafana/i18n';
import {
  BarGauge,
  BigValue,
  GlobalStyles,
  PanelChrome,
  ThemeContext,
  TimeSeries,
  VizRepeater,
} from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { createRoot } from 'react-dom/client';
import { begin } from './fields.js';
import { prepare, stackedBars, theme, values, xySeries } from './panels.js';

const COLUMNS = 24;
const ROW = 30;
const GAP = 8;
const MARGIN = 16;

function Panel({ prepared, column }) {
  const { panel, error } = prepared;
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: x * column, top: y * (ROW + GAP) };
  const width = w * column - GAP;
  const height = h * (ROW + GAP) - GAP;
  if (panel.type === 'row') {
    return <h4 style={{ ...place, lineHeight: `${ROW}px` }}>{panel.title}</h4>;
  }
  const Body = BODIES[panel.type];
  return (
    <div style={place}>
      <PanelChrome
        title={panel.title}
        description={panel.description}
        width={width}
        height={height}
        padding={panel.type === 'table' ? 'none' : 'md'}
        statusMessage={error}
      >
        {(width, height) => (error ? null : <Body prepared={prepared} width={width} height={height} />)}
      </PanelChrome>
    </div>
  );
}

function Repeated({ prepared, width, height, orientation, itemSpacing, Value }) {
  const all = values(prepared);
  return (
    <VizRepeater
      source={all}
      getValues={() => all}
      getAlignmentFactors={(each) => getDisplayValueAlignmentFactors(each)}
      renderValue={(props) => <Value prepared={prepared} {...props} />}
      autoGrid={prepared.panel.type === 'stat'}
      {...{ width, height, orientation, itemSpacing }}
      minVizWidth={prepared.panel.options.minVizWidth}
      minVizHeight={prepared.panel.options.minVizHeight}
      maxVizHeight={prepared.panel.options.maxVizHeight}
      renderCounter={0}
    />
  );
}

const Stat = (props) => (
  <Repeated {...props} orientation={props.prepared.panel.options.orientation ?? VizOrientation.Auto} Value={Tile} />
);

const Tile = ({ prepared, value, alignmentFactors, width, height, count }) => (
  <BigValue
    value={value.display}
    sparkline={value.sparkline}
    colorMode={prepared.panel.options.colorMode ?? 'value'}
    graphMode={prepared.panel.options.graphMode ?? 'area'}
    textMode={prepared.panel.options.textMode ?? 'auto'}
    justifyMode={prepared.panel.options.justifyMode ?? 'auto'}
    {...{ theme, alignmentFactors, width, height, count }}
  />
);

const Bars = (props) => (
  <Repeated {...props} orientation={props.prepared.panel.options.orientation} itemSpacing={10} Value={Bar} />
);

const Bar = ({ prepared, value, alignmentFactors, orientation, width, height }) => (
  <BarGauge
    value={value.display}
    field={value.field}
    display={value.view?.getFieldDisplayProcessor(value.colIndex)}
    displayMode={prepared.panel.options.displayMode}
    showUnfilled={prepared.panel.options.showUnfilled ?? true}
    valueDisplayMode={prepared.panel.options.valueMode ?? 'color'}
    namePlacement={prepared.panel.options.namePlacement ?? 'auto'}
    {...{ theme, alignmentFactors, orientation, width, height }}
  />
);

const Rows = ({ prepared: { panel, fieldConfig, series, timeRange }, width, height }) =>
  series[0]?.fields.length ? (
    <TableNG
      data={series[0]}
      sortBy={panel.options.sortBy}
      cellHeight={panel.options.cellHeight ?? 'sm'}
      noHeader={panel.options.showHeader === false}
      transparent={false}
      {...{ width, height, timeRange, fieldConfig }}
    />
  ) : (
    <NoData fieldConfig={fieldConfig} />
  );

const NoData = ({ fieldConfig }) => (
  <div style={{ display: 'grid', placeItems: 'center', height: '100%' }}>{fieldConfig.defaults.noValue ?? 'No data'}</div>
);

function Lines({ prepared: { panel, fieldConfig, series, timeRange }, width, height }) {
  const frames = series.filter((frame) => frame.length);
  return frames.length ? (
    <TimeSeries legend={panel.options.legend} timeZone="utc" {...{ frames, timeRange, width, height }} />
  ) : (
    <NoData fieldConfig={fieldConfig} />
  );
}

// The libraries have no heatmap: cells of the counts, in its place.
function Heatmap({ prepared: { fieldConfig, series }, width, height }) {
  const [frame] = series;
  if (!frame?.length) {
    return <NoData fieldConfig={fieldConfig} />;
  }
  const [times, ...buckets] = frame.fields.filter(({ type }) => type !== FieldType.string);
  const left = 70;
  const cell = { width: (width - left) / times.values.length, height: height / buckets.length };
  const most = Math.max(1, ...buckets.flatMap(({ values }) => values));
  return (
    <svg width={width} height={height} fontSize={11} fill={theme.colors.text.secondary}>
      {buckets.map((field, row) => {
        const y = height - (row + 1) * cell.height;
        return (
          <g key={row}>
            <text x={0} y={y + cell.height * 0.7}>{getFieldDisplayName(field, frame, series)}</text>
            {field.values.map((count, column) =>
              count > 0 ? (
                <rect
                  key={column}
                  x={left + column * cell.width}
                  {...{ y, width: cell.width + 0.5, height: cell.height - 1 }}
                  fill={`hsl(${210 - (180 * count) / most} 80% 50%)`}
                />
              ) : null
            )}
          </g>
        );
      })}
    </svg>
  );
}

// Nor an XY chart: points that a line joins, between zero and the highest, with the legend below.
function Curves({ prepared, width, height }) {
  const all = xySeries(prepared);
  if (!all.length) {
    return <NoData fieldConfig={prepared.fieldConfig} />;
  }
  const [left, bottom, top] = [70, 40, 12];
  const most = (fields) => Math.max(...fields.flatMap(({ values }) => values)) || 1;
  const highX = most(all.map(({ x }) => x));
  const highY = most(all.map(({ y }) => y));
  const across = (value) => left + ((width - left - 20) * value) / highX;
  const up = (value) => height - bottom - ((height - bottom - top) * value) / highY;
  const label = (field, value) => {
    const { text, suffix = '' } = field.display(value);
    return text + suffix;
  };
  return (
    <svg width={width} height={height} fontSize={11} fill={theme.colors.text.secondary}>
      {[0, 0.5, 1].map((share) => (
        <g key={share} stroke="none">
          <text x={0} y={up(share * highY) + 4}>{label(all[0].y, share * highY)}</text>
          <text x={across(share * highX) - 20} y={height - bottom + 16}>{label(all[0].x, share * highX)}</text>
        </g>
      ))}
      {all.map(({ name, x, y }, index) => {
        const color = theme.visualization.getColorByName(theme.visualization.palette[index]);
        const places = x.values.map((value, row) => [across(value), up(y.values[row])]);
        return (
          <g key={name}>
            <polyline points={places.join(' ')} fill="none" stroke={color} />
            {places.map(([cx, cy], row) => (
              <circle key={row} {...{ cx, cy }} r={3} fill={color} />
            ))}
            <text x={left + index * 200} y={height - 6} fill={color}>{name}</text>
          </g>
        );
      })}
    </svg>
  );
}

// Nor a bar chart: stacked bars from side to side of zero, with their names below.
function Stacks({ prepared, width, height }) {
  const all = stackedBars(prepared);
  if (!all.length) {
    return <NoData fieldConfig={prepared.fieldConfig} />;
  }
  const [left, bottom, top] = [90, 24, 12];
  const edges = [0, ...all.flatMap(({ parts }) => parts.flatMap(({ from, to }) => [from, to]))];
  const [low, high] = [Math.min(...edges), Math.max(...edges)];
  const up = (value) => height - bottom - ((height - bottom - top) * (value - low)) / (high - low || 1);
  const column = (width - left) / all.length;
  const { display } = prepared.series[0].fields.find(({ type }) => type === FieldType.number);
  const label = (value) => {
    const { text, suffix = '' } = display(value);
    return text + suffix;
  };
  return (
    <svg width={width} height={height} fontSize={11} fill={theme.colors.text.secondary}>
      {[...new Set([low, 0, high])].map((value) => (
        <text key={value} x={0} y={up(value) + 4}>{label(value)}</text>
      ))}
      <line x1={left} x2={width} y1={up(0)} y2={up(0)} stroke={theme.colors.border.medium} />
      {all.map(({ name, parts }, index) => (
        <g key={name}>
          {parts.map(({ series, color, from, to }) => (
            <rect
              key={series}
              x={left + (index + 0.1) * column}
              y={up(Math.max(from, to))}
              width={column * 0.8}
              height={Math.abs(up(from) - up(to))}
              fill={theme.visualization.getColorByName(color)}
            />
          ))}
          <text x={left + (index + 0.1) * column} y={height - 6}>{name}</text>
        </g>
      ))}
    </svg>
  );
}

const BODIES = {
  ...{ stat: Stat, bargauge: Bars, table: Rows, timeseries: Lines },
  ...{ heatmap: Heatmap, xychart: Curves, barchart: Stacks },
};

function Dashboard({ all, dashboard, chosen, width }) {
  const column = (width - 2 * MARGIN + GAP) / COLUMNS;
  const choices = chosen.map(([name, { values }]) => `${name}: ${values.join(', ').replace('$__all', 'All')}`);
  return (
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <header style={{ margin: `8px ${MARGIN}px`, fontSize: 16, height: 24 }}>
        {dashboard.title} <small style={{ color: theme.colors.text.secondary }}>{choices.join(' · ')}</small>
      </header>
      <main style={{ position: 'relative', marginLeft: MARGIN }}>
        {all.map((prepared, index) => (
          <Panel key={index} {...{ prepared, column }} />
        ))}
      </main>
    </ThemeContext.Provider>
  );
}

window.draw = async (data, width) => {
  begin();
  await initPluginTranslations('hashmargin');
  const all = await prepare(data);
  createRoot(document.getElementById('page')).render(<Dashboard all={all} {...data} width={width} />);
  await document.fonts.ready;
  await new Promise((drawn) => setTimeout(drawn, 500));
  return 40 + Math.max(...all.map(({ panel: { gridPos } }) => (gridPos.y + gridPos.h) * (ROW + GAP)));
};
