import { Type } from 'typebox';
import type { TSchema } from 'typebox';

/** The `Format` of packages that this release runs. `MuranoPL/1.x` packages are stored and listed. */
export const packageFormat = 'Torcello/1.0';

/** `manifest.yaml`, as Murano's. */
export interface PackageManifest {
  /** `Torcello/1.0`, or a Murano format. */
  readonly Format: string;
  readonly Type: 'Application' | 'Library';
  /** Dotted name, unique together with the version: `io.torcello.HelloWeb`. */
  readonly FullName: string;
  readonly Name: string;
  /** Default: 0.0.0, as Murano has it. */
  readonly Version?: string | number;
  readonly Description?: string;
  readonly Author?: string;
  readonly Tags?: readonly string[];
  /** MuranoPL only: class name to file. */
  readonly Classes?: Readonly<Record<string, string>>;
}

/** Schema of `manifest.yaml`. Keys that it does not name are allowed, as in Murano. */
export const manifestSchema: TSchema = Type.Object({
  Format: Type.Union([Type.String({ pattern: '^(Torcello|MuranoPL)/[0-9]+(\\.[0-9]+)*$' }), Type.Number()]),
  Type: Type.Union([Type.Literal('Application'), Type.Literal('Library')]),
  FullName: Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*(\\.[A-Za-z_][A-Za-z0-9_]*)*$', maxLength: 255 }),
  Name: Type.String({ minLength: 1, maxLength: 80 }),
  Version: Type.Optional(
    Type.Union([
      Type.String({ pattern: '^[0-9]+(\\.[0-9]+){0,2}([-+.][0-9A-Za-z.-]+)?$', maxLength: 64 }),
      Type.Number(),
    ]),
  ),
  Description: Type.Optional(Type.String({ maxLength: 4096 })),
  Author: Type.Optional(Type.String({ maxLength: 255 })),
  Tags: Type.Optional(Type.Array(Type.String({ maxLength: 80 }), { maxItems: 100 })),
  Classes: Type.Optional(Type.Record(Type.String(), Type.String())),
});
