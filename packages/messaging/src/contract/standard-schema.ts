/**
 * The Standard Schema interface (standardschema.dev, version 1), which zod, valibot, arktype and others implement; copied as
 * types so that it is no dependency. `wrapSchema` makes one of anything else.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
    /** JSON Schema of what goes in and what comes out, where its library offers that. */
    readonly jsonSchema?: {
      readonly input: (options: { readonly target: 'draft-2020-12' }) => object;
      readonly output: (options: { readonly target: 'draft-2020-12' }) => object;
    };
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** What a program writes. */
export type InputOf<S> = S extends {
  readonly '~standard': { readonly types?: { readonly input: infer Input } | undefined };
}
  ? Input
  : never;
/** What a program reads, after the schema's defaults and conversions. */
export type OutputOf<S> = S extends {
  readonly '~standard': { readonly types?: { readonly output: infer Output } | undefined };
}
  ? Output
  : never;

/**
 * A schema of a library without Standard Schema (TypeBox), from its check.
 * @param check - answers the issues of a value; none: it fits.
 */
export function wrapSchema<T>(
  vendor: string,
  check: (value: unknown) => readonly SchemaIssue[],
  jsonSchema?: object,
): StandardSchema<T> {
  const validate = (value: unknown): SchemaResult<T> => {
    const issues = check(value);
    return issues.length === 0 ? { value: value as T } : { issues };
  };
  const said = jsonSchema === undefined ? {} : { jsonSchema: { input: () => jsonSchema, output: () => jsonSchema } };
  return { '~standard': { version: 1, vendor, validate, ...said } };
}
