import type { ContractParts, MethodContract } from './contract.js';
import type { StandardSchema } from './standard-schema.js';

export type JsonSchema = boolean | Readonly<Record<string, unknown>>;

/** A contract as JSON, to keep beside a release and compare with the next one. */
export interface ContractDescription {
  readonly torcelloContract: 1;
  readonly topic: string;
  readonly exchange: string;
  readonly namespace: string | null;
  readonly version: string;
  readonly methods: Readonly<Record<string, MethodDescription>>;
  readonly notifications: Readonly<Record<string, JsonSchema>>;
}

export interface MethodDescription {
  readonly cast: boolean;
  readonly args: JsonSchema | null;
  readonly result: JsonSchema | null;
  readonly progress: JsonSchema | null;
  readonly errors: Readonly<Record<string, JsonSchema>>;
}

/**
 * What travels is what goes into a schema, on either side: its reader converts it.
 *
 * @param toJsonSchema - for schemas that cannot tell their JSON Schema themselves (valibot); called with each of them.
 * @throws TypeError when a schema has none.
 */
export function describeContract(
  contract: ContractParts,
  toJsonSchema: (schema: StandardSchema) => object | undefined = () => undefined,
): ContractDescription {
  const read = (schema: StandardSchema): JsonSchema => {
    const own = schema['~standard'].jsonSchema?.input({ target: 'draft-2020-12' }) ?? toJsonSchema(schema);
    if (own === undefined) throw new TypeError(`a schema of ${schema['~standard'].vendor} tells no JSON Schema`);
    return JSON.parse(JSON.stringify(own)) as JsonSchema;
  };
  const optional = (schema: StandardSchema | undefined): JsonSchema | null =>
    schema === undefined ? null : read(schema);
  const method = ({ args, result, progress, errors = {}, cast = false }: MethodContract): MethodDescription => ({
    cast,
    args: optional(args),
    result: optional(result),
    progress: optional(progress),
    errors: mapValues(errors, (schema) => read(schema)),
  });
  return {
    torcelloContract: 1,
    topic: contract.topic,
    exchange: contract.exchange ?? 'openstack',
    namespace: contract.namespace ?? null,
    version: contract.version ?? '1.0',
    methods: mapValues(contract.methods ?? {}, method),
    notifications: mapValues(contract.notifications ?? {}, ({ payload }) => read(payload)),
  };
}

function mapValues<A, B>(fields: Readonly<Record<string, A>>, change: (value: A) => B): Readonly<Record<string, B>> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, change(value)]));
}
