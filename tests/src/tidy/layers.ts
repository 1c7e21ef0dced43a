/** What one package may import, as the table in `docs/architecture.md` says. */
export interface Layer {
  readonly name: string;
  readonly mayImport: ReadonlySet<string>;
  /** Allowed in `main.ts` only. */
  readonly mayImportInMain: ReadonlySet<string>;
  readonly mayUseNode: boolean;
}

/** A source file: its path below `packages/` and its text. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** Reads the layer table out of the document. */
export function readLayers(markdown: string): ReadonlyMap<string, Layer> {
  const rows = markdown.split('\n').filter((line) => /^\|\s*\d\s*\|/.test(line));
  return new Map(rows.map((row) => readLayer(row)).map((layer) => [layer.name, layer]));
}

function readLayer(row: string): Layer {
  const [, , packageCell = '', , importCell = '', nodeCell = ''] = row.split('|').map((cell) => cell.trim());
  const inMain = [...importCell.matchAll(/`([^`]+)` in `main\.ts`/g)].map(([, name = '']) => name);
  const names = [...importCell.matchAll(/`([^`]+)`/g)]
    .map(([, name = '']) => name)
    .filter((name) => name !== 'main.ts');
  return {
    name: packageCell.replaceAll('`', ''),
    mayImport: new Set(names.filter((name) => !inMain.includes(name))),
    mayImportInMain: new Set(inMain),
    mayUseNode: nodeCell === 'yes',
  };
}

/** Every import that the table does not allow, as a line for people. */
export function layerViolations(layers: ReadonlyMap<string, Layer>, files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) => importsOf(file.text).flatMap((specifier) => violation(layers, file, specifier) ?? []));
}

function importsOf(text: string): readonly string[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  const found = code.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^\s*import\s+)['"]([^'"]+)['"]/gm);
  return [...found].map(([, specifier = '']) => specifier);
}

function violation(layers: ReadonlyMap<string, Layer>, file: SourceFile, specifier: string): string | undefined {
  const [owner = '', ...inside] = file.path.split('/');
  const layer = layers.get(owner);
  if (layer === undefined) return `${file.path}: package ${owner} stands in no layer`;
  if (specifier.startsWith('.'))
    return leavesPackage(inside, specifier) ? `${file.path}: ${specifier} leaves the package` : undefined;
  if (specifier.startsWith('node:'))
    return layer.mayUseNode ? undefined : `${file.path}: ${owner} may not use ${specifier}`;
  const [scope, name = ''] = specifier.split('/');
  if (scope !== '@torcello') return undefined;
  const isMain = inside.at(-1) === 'main.ts';
  const isAllowed = name === owner || layer.mayImport.has(name) || (isMain && layer.mayImportInMain.has(name));
  return isAllowed ? undefined : `${file.path}: ${owner} may not import ${specifier}`;
}

/** Whether a relative import of `src/a/b.ts` climbs out of `src`. */
function leavesPackage(inside: readonly string[], specifier: string): boolean {
  const depth = inside.length - 2;
  const climbs = specifier.split('/').filter((part) => part === '..').length;
  return climbs > depth;
}
