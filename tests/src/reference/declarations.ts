import { parseAst } from 'rolldown/parseAst';

/** Something that a source file exports: what its docstring says, and its declaration without what is behind it. */
export interface Declaration {
  readonly name: string;
  readonly docstring: string;
  readonly code: string;
}

type Tree = ReturnType<typeof parseAst>;
type Statement = Tree['body'][number];
type Exported = Extract<Statement, { type: 'ExportNamedDeclaration' }>;
type Inner = NonNullable<Exported['declaration']>;
type ClassMember = Extract<Inner, { superClass: unknown }>['body']['body'][number];

/** What a file exports by declaring it, by name. */
export function declarationsOf(source: string): ReadonlyMap<string, Declaration> {
  const found = new Map<string, Declaration>();
  for (const statement of parseAst(source, { lang: 'ts' }).body) {
    if (statement.type !== 'ExportNamedDeclaration' || statement.declaration === null) continue;
    const name = nameOf(statement.declaration);
    if (name === undefined) continue;
    const docstring = proseOf(commentBefore(source, statement.start));
    found.set(name, { name, docstring, code: codeOf(source, statement.declaration).trim() });
  }
  return found;
}

/** What a file hands on from others: exported name to file. */
export function reexportsOf(source: string): readonly { readonly names: readonly string[]; readonly from: string }[] {
  return parseAst(source, { lang: 'ts' }).body.flatMap((statement) => {
    if (statement.type !== 'ExportNamedDeclaration' || statement.source === null) return [];
    const names = statement.specifiers.map(({ exported }) => ('name' in exported ? exported.name : exported.value));
    return [{ names, from: statement.source.value }];
  });
}

function nameOf(declaration: Inner): string | undefined {
  if (declaration.type === 'VariableDeclaration') {
    const [first] = declaration.declarations;
    return first?.id.type === 'Identifier' ? first.id.name : undefined;
  }
  return 'id' in declaration && declaration.id !== null && 'name' in declaration.id ? declaration.id.name : undefined;
}

function codeOf(source: string, declaration: Inner): string {
  const { start, end } = declaration;
  switch (declaration.type) {
    case 'FunctionDeclaration':
      return `${source.slice(start, declaration.body?.start ?? end).trim()};`;
    case 'VariableDeclaration':
      return variableCode(source, declaration);
    case 'ClassDeclaration': {
      const { body } = declaration;
      const members = body.body.flatMap((member) => memberCode(source, member) ?? []);
      return `${source.slice(start, body.start)}{\n${members.join('\n')}\n}`;
    }
    default:
      return source.slice(start, end);
  }
}

/** A table of numbers is shown whole, of everything else only what it is. */
function variableCode(source: string, declaration: Extract<Inner, { type: 'VariableDeclaration' }>): string {
  const [first] = declaration.declarations;
  const init = first?.init;
  if (first === undefined || init === null || init === undefined)
    return source.slice(declaration.start, declaration.end);
  const isPlain = init.type === 'TSAsExpression' && init.end - init.start < 1_000;
  if (isPlain) return source.slice(declaration.start, declaration.end);
  const head = source.slice(declaration.start, init.start).trim().replace(/=$/, '').trim();
  return `${head};`;
}

/** Undefined for what is private. */
function memberCode(source: string, member: ClassMember): string | undefined {
  if (!('key' in member) || member.key.type === 'PrivateIdentifier') return undefined;
  if ('accessibility' in member && member.accessibility === 'private') return undefined;
  const comment = commentBefore(source, member.start);
  const doc = comment === '' ? '' : `  ${comment}\n`;
  if (member.type === 'MethodDefinition') {
    const end = member.value.body?.start ?? member.end;
    return `${doc}  ${source.slice(member.start, end).trim()};`;
  }
  if (member.type !== 'PropertyDefinition') return undefined;
  const end = member.typeAnnotation?.end ?? member.key.end;
  return `${doc}  ${source.slice(member.start, end)};`;
}

/** The docstring right before a place, with its stars; empty when there is none. */
function commentBefore(source: string, at: number): string {
  const before = source.slice(0, at).trimEnd();
  if (!before.endsWith('*/')) return '';
  const start = before.lastIndexOf('/**');
  return start < 0 || before.slice(start).includes('*/\n') ? '' : before.slice(start);
}

function proseOf(comment: string): string {
  const lines = comment
    .replace(/^\/\*\*/, '')
    .replace(/\*\/$/, '')
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''));
  return lines
    .join('\n')
    .trim()
    .replaceAll(/^@param (\S+) - /gm, '\n`$1`: ')
    .replaceAll(/^@throws /gm, '\nRejects or throws: ')
    .trim();
}
