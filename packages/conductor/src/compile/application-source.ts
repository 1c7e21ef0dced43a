import { type ApplicationDefinition, checkApplication } from '@torcello/contracts';
import { LineCounter, type Document, isNode, parseDocument } from 'yaml';
import { CompileError, type SourcePlace } from './compile-error.js';

/** Path of a value inside a document: keys and indexes from the root. */
export type DocumentPath = readonly (string | number)[];

/** The `application.yaml` of a package, checked, with the places of its values for error messages. */
export interface ApplicationSource {
  readonly definition: ApplicationDefinition;
  /** Where the value at `path` stands, or the nearest thing around it. `text` narrows to its first occurrence there. */
  readonly placeOf: (path: DocumentPath, text?: string) => SourcePlace;
}

export const applicationFile = 'application.yaml';

/** @throws CompileError DEFINITION_INVALID naming line and column. */
export function readApplication(yaml: string): ApplicationSource {
  const lines = new LineCounter();
  const document = parseDocument(yaml, { lineCounter: lines, prettyErrors: false });
  const placeOf = (path: DocumentPath, text?: string): SourcePlace =>
    placeAt(lines, offsetOf(document, { path, yaml, text }));
  const [syntaxError] = document.errors;
  if (syntaxError !== undefined) throw invalid(placeAt(lines, syntaxError.pos[0]), syntaxError.message);
  const definition: unknown = toValue(document);
  const [flaw] = checkApplication(definition);
  if (flaw !== undefined) {
    const path = flaw.path.split('/').slice(1).map(unescapePointer);
    throw invalid(placeOf(path), `${flaw.path === '' ? '' : `${flaw.path} `}${flaw.message}`);
  }
  return { definition: definition as ApplicationDefinition, placeOf };
}

function toValue(document: Document): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw invalid({ file: applicationFile }, (error as Error).message);
  }
}

function offsetOf(
  document: Document,
  { path, yaml, text }: { readonly path: DocumentPath; readonly yaml: string; readonly text: string | undefined },
): number {
  for (let depth = path.length; depth >= 0; depth -= 1) {
    const node = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true);
    if (!isNode(node) || node.range === undefined || node.range === null) continue;
    const [start, end] = node.range;
    const inside = text === undefined ? -1 : yaml.slice(start, end).indexOf(text);
    return start + Math.max(inside, 0);
  }
  return 0;
}

function placeAt(lines: LineCounter, offset: number): SourcePlace {
  const { line, col } = lines.linePos(offset);
  return { file: applicationFile, line: Math.max(line, 1), column: Math.max(col, 1) };
}

function unescapePointer(part: string): string | number {
  const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
  return /^\d+$/.test(name) ? Number(name) : name;
}

function invalid(place: SourcePlace, problem: string): CompileError {
  return new CompileError('DEFINITION_INVALID', place, { problem, cure: 'correct it and import the package again' });
}
