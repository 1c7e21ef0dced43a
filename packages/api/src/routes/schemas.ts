import { Type } from 'typebox';
import type { TSchema } from 'typebox';

/** What several routes say of their parameters and answers. */
export const id: TSchema = Type.String({ minLength: 1, maxLength: 300 });

/** An object with these keys, for answers: more keys may come with later releases. */
export function answer(description: string, properties: Readonly<Record<string, TSchema>> = {}): TSchema {
  return Type.Object(properties, { description, additionalProperties: true });
}

export function params(...names: readonly string[]): TSchema {
  return Type.Object(Object.fromEntries(names.map((name) => [name, id])));
}

/** Answers with an empty body. */
export function empty(description: string): TSchema {
  return Type.Null({ description });
}

export const text: TSchema = Type.String();
export const list: TSchema = Type.Array(Type.Unknown());

export const sessionHeader: TSchema = Type.Object({
  'x-configuration-session': Type.Optional(
    Type.String({ description: 'The session whose staged services are meant.' }),
  ),
});
