/**
 * A set of names: literal names and globs in which `*` stands for any run of characters. Deliberately not a regular
 * expression: a pattern of a stranger must not be able to burn processor time.
 */
export type NamePattern = readonly string[];

/** Matches nothing. */
export const noNames: NamePattern = [];
/** Matches every name. */
export const allNames: NamePattern = ['*'];

/** Whether one of the globs covers the whole name. At most pattern length times name length steps. */
export function matchesName(pattern: NamePattern, name: string): boolean {
  return pattern.some((glob) => matchesGlob(glob, name, '*'));
}

/** Whether a glob covers the whole name. `wildcard` is the element of the glob that stands for any run of characters. */
export function matchesGlob(glob: ArrayLike<string>, name: string, wildcard: string): boolean {
  let at = 0;
  let globAt = 0;
  let starAt = -1;
  let resumeAt = 0;
  while (at < name.length) {
    if (glob[globAt] === wildcard) {
      starAt = globAt++;
      resumeAt = at;
    } else if (glob[globAt] === name[at]) {
      globAt++;
      at++;
    } else if (starAt >= 0) {
      globAt = starAt + 1;
      at = ++resumeAt;
    } else return false;
  }
  while (glob[globAt] === wildcard) globAt++;
  return globAt === glob.length;
}

const metacharacters = new Set('\\^$.|?*+()[]{}');

/**
 * Reads the shapes of RabbitMQ's regular expressions that name a set of names plainly: `^$` (and the empty string) for
 * none, else what `globsFromRegex` reads. Undefined for every other one: no expression of a user is ever run.
 */
export function patternFromRegex(regex: string): NamePattern | undefined {
  if (regex === '' || regex === '^$') return noNames;
  return globsFromRegex(regex);
}

/**
 * Reads a regular expression as globs, as far as it is one: literals, `.*`, the anchors `^` and `$`, and alternatives
 * (`a|b`, `^(a|b)$`). What is not anchored goes on with anything, as on RabbitMQ. Undefined for every other one.
 */
export function globsFromRegex(regex: string): NamePattern | undefined {
  const [, start = '', inner, end = ''] = /^(\^?)\((?:\?:)?(.*)\)(\$?)$/s.exec(regex) ?? [];
  const isGroup = inner !== undefined && !endsEscaping(inner);
  const parts = isGroup ? alternativesOf(inner).map((part) => start + part + end) : alternativesOf(regex);
  const globs = parts.map(globFromRegex);
  return globs.every((glob) => glob !== undefined) ? globs : undefined;
}

function alternativesOf(regex: string): string[] {
  const parts = [''];
  for (let at = 0; at < regex.length; at++) {
    const character = regex[at] ?? '';
    if (character === '|') parts.push('');
    else parts[parts.length - 1] += character === '\\' ? character + (regex[++at] ?? '') : character;
  }
  return parts;
}

/** Whether the last backslash means what comes behind. */
function endsEscaping(text: string): boolean {
  return ((/\\*$/.exec(text)?.[0].length ?? 0) & 1) === 1;
}

function globFromRegex(regex: string): string | undefined {
  const isAnchored = regex.startsWith('^');
  let glob = isAnchored ? '' : '*';
  for (let at = isAnchored ? 1 : 0; at < regex.length; at++) {
    const character = regex[at] ?? '';
    if (character === '$' && at === regex.length - 1) return glob;
    if (character === '.' && regex[at + 1] === '*') {
      if (!glob.endsWith('*')) glob += '*';
      at++;
    } else if (character === '\\') {
      const escaped = regex[++at] ?? '';
      if (!/^[^A-Za-z0-9*]$/.test(escaped)) return undefined;
      glob += escaped;
    } else if (metacharacters.has(character)) return undefined;
    else glob += character;
  }
  return glob.endsWith('*') ? glob : `${glob}*`;
}

/** RabbitMQ's regular expression for a pattern, for display. */
export function patternToRegex(pattern: NamePattern): string {
  if (pattern.length === 0) return '^$';
  const alternatives = pattern.map((glob) => Array.from(glob, escapeCharacter).join(''));
  if (alternatives.length === 1) return alternatives[0] === '.*' ? '.*' : `^${alternatives[0]}$`;
  return `^(${alternatives.join('|')})$`;
}

function escapeCharacter(character: string): string {
  if (character === '*') return '.*';
  return metacharacters.has(character) ? `\\${character}` : character;
}
