// What Grafana's application adds to its libraries before a panel can be shown: the registries and the panels' defaults.
import {
  FieldType,
  ThresholdsMode,
  booleanOverrideProcessor,
  dataLinksOverrideProcessor,
  displayNameOverrideProcessor,
  identityOverrideProcessor,
  locationUtil,
  numberOverrideProcessor,
  standardFieldConfigEditorRegistry,
  standardTransformers,
  standardTransformersRegistry,
  stringOverrideProcessor,
  thresholdsOverrideProcessor,
  unitOverrideProcessor,
  valueMappingsOverrideProcessor,
  FieldConfigOptionsRegistry,
} from '@grafana/data';

const STANDARD = {
  displayName: displayNameOverrideProcessor,
  unit: unitOverrideProcessor,
  min: numberOverrideProcessor,
  max: numberOverrideProcessor,
  fieldMinMax: booleanOverrideProcessor,
  decimals: numberOverrideProcessor,
  color: identityOverrideProcessor,
  noValue: stringOverrideProcessor,
  links: dataLinksOverrideProcessor,
  mappings: valueMappingsOverrideProcessor,
  thresholds: thresholdsOverrideProcessor,
};
const ONLY_NUMBERS = new Set(['min', 'max', 'fieldMinMax', 'decimals']);

const option = (id, process, isCustom, shouldApply) => ({
  id: isCustom ? `custom.${id}` : id,
  path: id,
  name: id,
  settings: {},
  isCustom,
  process,
  shouldApply,
});

const standard = () =>
  Object.entries(STANDARD).map(([id, process]) =>
    option(id, process, false, (field) => !ONLY_NUMBERS.has(id) || field.type === FieldType.number)
  );

/** Fill the libraries' registries, once. */
export function begin() {
  locationUtil.initialize({ config: { appSubUrl: '' }, getVariablesUrlParams: () => ({}), getTimeRangeForUrl: () => ({}) });
  standardFieldConfigEditorRegistry.setInit(standard);
  standardTransformersRegistry.setInit(() =>
    [...new Set(Object.values(standardTransformers))].map((transformation) => ({
      id: transformation.id,
      name: transformation.name,
      transformation: () => Promise.resolve(transformation),
    }))
  );
}

const GRAPH = { lineWidth: 1, drawStyle: 'line', lineInterpolation: 'linear', axisPlacement: 'auto', pointSize: 5 };
const COLORS = { timeseries: { mode: 'palette-classic' } };

/** A panel's field configuration with the defaults that its kind has in Grafana. */
export function fieldConfigOf(panel) {
  const { defaults, overrides } = panel.fieldConfig;
  return {
    defaults: {
      ...defaults,
      color: defaults.color ?? COLORS[panel.type] ?? { mode: 'thresholds' },
      thresholds: fromBelow(defaults.thresholds ?? USUAL_THRESHOLDS),
      custom: { ...(panel.type === 'timeseries' ? GRAPH : {}), ...defaults.custom },
    },
    overrides: (overrides ?? []).map(({ matcher, properties }) => ({
      matcher,
      properties: properties.map(({ id, value }) => ({ id, value: id === 'thresholds' ? fromBelow(value) : value })),
    })),
  };
}

const USUAL_THRESHOLDS = {
  mode: ThresholdsMode.Absolute,
  steps: [
    { value: null, color: 'green' },
    { value: 80, color: 'red' },
  ],
};

/** JSON has no infinity: Grafana reads the first step's null as minus infinity. */
const fromBelow = ({ mode, steps }) => ({
  mode,
  steps: steps.map(({ value, color }, index) => ({ color, value: index === 0 ? -Infinity : value })),
});

/** The options of a panel's fields: the standard ones and the custom ones that it uses. */
export function registryOf({ defaults, overrides }) {
  const custom = new Set(Object.keys(defaults.custom));
  for (const { properties } of overrides) {
    for (const { id } of properties.filter((property) => property.id.startsWith('custom.'))) {
      custom.add(id.slice('custom.'.length));
    }
  }
  return new FieldConfigOptionsRegistry(() => [
    ...standard(),
    ...[...custom].map((id) => option(id, identityOverrideProcessor, true, (field) => field.type !== FieldType.time)),
  ]);
}
