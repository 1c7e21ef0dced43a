import type { FieldTable } from './field-values.js';
import { methodTable } from './methods.js';

/** A method's name as the protocol writes it, for example `basic.publish`. */
export type MethodName = keyof typeof methodTable;

/** How a method's field lies on the wire (§4.2.5). `longtext` is a long string that is always UTF-8 text. */
export type FieldType = 'bit' | 'octet' | 'short' | 'long' | 'longlong' | 'shortstr' | 'longstr' | 'longtext' | 'table';

interface FieldTypes {
  bit: boolean;
  octet: number;
  short: number;
  long: number;
  longlong: number;
  shortstr: string;
  longstr: Uint8Array;
  longtext: string;
  table: FieldTable;
}

type FieldsOf<N extends MethodName> = (typeof methodTable)[N]['fields'];
type Reserved = `reserved${number}`;
type Defaulted = 'bit' | 'table';

type ReadFields<F> = { readonly [K in keyof F as K extends Reserved ? never : K]: FieldTypes[F[K] & FieldType] };
type OptionalFields<F> = {
  readonly [K in keyof F as K extends Reserved ? never : F[K] extends Defaulted ? K : never]?:
    | FieldTypes[F[K] & FieldType]
    | undefined;
};
type RequiredFields<F> = {
  readonly [K in keyof F as K extends Reserved ? never : F[K] extends Defaulted ? never : K]: FieldTypes[F[K] &
    FieldType];
};
type Flat<T> = { [K in keyof T]: T[K] } & {};

/** A method as it was read: every field is there. */
export type MethodNamed<N extends MethodName> = Flat<{ readonly name: N } & ReadFields<FieldsOf<N>>>;

/** Any method as it was read; narrow it by `name`. */
export type Method = { [N in MethodName]: MethodNamed<N> }[MethodName];

/** A method to write: bits left out are false, tables left out are empty. */
export type OutgoingNamed<N extends MethodName> = Flat<
  { readonly name: N } & RequiredFields<FieldsOf<N>> & OptionalFields<FieldsOf<N>>
>;

/** Any method to write. */
export type OutgoingMethod = { [N in MethodName]: OutgoingNamed<N> }[MethodName];

/** The methods that a content header and body follow (§2.3.5.2). */
export type ContentMethodName = 'basic.publish' | 'basic.return' | 'basic.deliver' | 'basic.get-ok';
/** A method with content, as it was read. */
export type ContentMethod = Extract<Method, { name: ContentMethodName }>;
/** A method with content, to write. */
export type OutgoingContentMethod = Extract<OutgoingMethod, { name: ContentMethodName }>;

/** One row of the method table, prepared for the codec. */
export interface MethodSpec {
  readonly name: MethodName;
  readonly classId: number;
  readonly methodId: number;
  /** Who may send it. */
  readonly from: 'client' | 'server' | 'both';
  readonly hasContent: boolean;
  readonly fields: readonly FieldSpec[];
}

/** One field of a method, in the order of the wire. */
export interface FieldSpec {
  readonly name: string;
  readonly type: FieldType;
  readonly isReserved: boolean;
}

interface Row {
  readonly ids: readonly [number, number];
  readonly from: 'client' | 'server' | 'both';
  readonly hasContent?: boolean;
  readonly fields: Readonly<Record<string, FieldType>>;
}

const rows: Readonly<Record<MethodName, Row>> = methodTable;
const byName: ReadonlyMap<string, MethodSpec> = new Map(
  Object.entries(rows).map(([name, row]) => [name, specOf(name as MethodName, row)]),
);
const byIds: ReadonlyMap<number, MethodSpec> = new Map(
  [...byName.values()].map((spec) => [spec.classId * 0x1_0000 + spec.methodId, spec]),
);

/** All methods, in the order of the table. */
export const methodSpecs: readonly MethodSpec[] = [...byName.values()];

/** The row of a method, by name. */
export function methodSpec(name: MethodName): MethodSpec {
  const spec = byName.get(name);
  if (spec === undefined) throw new TypeError(`there is no AMQP 0-9-1 method ${String(name)}`);
  return spec;
}

/** The row of a method, by the two numbers of the wire; undefined for numbers that nobody defined. */
export function methodSpecByIds(classId: number, methodId: number): MethodSpec | undefined {
  return byIds.get(classId * 0x1_0000 + methodId);
}

function specOf(name: MethodName, row: Row): MethodSpec {
  const [classId, methodId] = row.ids;
  const fields = Object.entries(row.fields).map(([field, type]) => ({
    name: field,
    type,
    isReserved: field.startsWith('reserved'),
  }));
  return { name, classId, methodId, from: row.from, hasContent: row.hasContent ?? false, fields };
}
