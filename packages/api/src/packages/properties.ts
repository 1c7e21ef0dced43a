import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ErrorObject, ValidateFunction } from 'ajv/dist/2020.js';
import { Refusal } from '../errors.js';

/**
 * Makes the check of an application's properties from its JSON Schema (draft 2020-12).
 * @throws Refusal package_invalid when it is no schema.
 */
export function compileProperties(schema: Readonly<Record<string, unknown>>): ValidateFunction {
  const ajv = new Ajv2020({ strict: false, useDefaults: true, allErrors: true, validateFormats: false, logger: false });
  try {
    return ajv.compile(schema);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'unknown keyword';
    throw new Refusal('package_invalid', `"properties" in application.yaml is no JSON Schema: ${why}`, { cause });
  }
}

/**
 * The properties with the schema's defaults filled in.
 * @throws Refusal invalid_property that names every wrong property by its path.
 */
export function completeProperties(
  schema: Readonly<Record<string, unknown>> | undefined,
  given: Readonly<Record<string, unknown>>,
  service: string,
): Readonly<Record<string, unknown>> {
  const properties = structuredClone(given);
  if (schema === undefined) return properties;
  const check = compileProperties(schema);
  if (check(properties)) return properties;
  const flaws = (check.errors ?? []).slice(0, 10).map(describe);
  throw new Refusal('invalid_property', `${service}: ${flaws.join('; ')}`);
}

function describe(error: ErrorObject): string {
  const path = error.instancePath === '' ? 'the properties' : error.instancePath;
  const { additionalProperty, allowedValues } = error.params as {
    additionalProperty?: string;
    allowedValues?: readonly unknown[];
  };
  const more: string | undefined = additionalProperty ?? allowedValues?.map(String).join(', ');
  return `${path} ${error.message ?? 'is wrong'}${more === undefined ? '' : ` (${more})`}`;
}
