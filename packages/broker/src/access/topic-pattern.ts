import { matchesGlob, patternFromRegex, patternToRegex } from './name-pattern.js';
import type { NamePattern } from './name-pattern.js';

/** What stands for the variables of a topic permission, RabbitMQ's `{username}` and `{vhost}`. */
export interface TopicVariables {
  readonly username: string;
  readonly vhost: string;
}

const variables = ['username', 'vhost'] as const;
/** Matches no character of a name, so that a `*` in a user's name is only that. */
const wildcard = '';
/** Stand-ins while a regular expression is read, in which a brace has a meaning of its own. */
const marks: readonly (readonly [text: string, mark: string])[] = [
  ['{username}', '\uE000'],
  ['{vhost}', '\uE001'],
  ['{client_id}', '\uE002'],
];

/** Whether one of the globs covers the whole routing key, each variable standing for its value and nothing else. */
export function matchesTopic(pattern: NamePattern, routingKey: string, values: TopicVariables): boolean {
  return pattern.some((glob) => matchesGlob(expanded(glob, values), routingKey, wildcard));
}

function expanded(glob: string, values: TopicVariables): string[] {
  const parts = glob.split(/(\*|\{username\}|\{vhost\})/);
  return parts.flatMap((part) => {
    if (part === '*') return [wildcard];
    const variable = variables.find((name) => part === `{${name}}`);
    return (variable === undefined ? part : values[variable]).split('');
  });
}

/**
 * As `patternFromRegex`, with variables. `{client_id}` is a text like any other here, as it is on RabbitMQ for who does
 * not speak MQTT. Braces of a variable that are escaped mean its text, which a pattern cannot say: undefined.
 */
export function topicPatternFromRegex(regex: string): NamePattern | undefined {
  if (marks.some(([, mark]) => regex.includes(mark))) return undefined;
  const marked = marks.reduce((text, [variable, mark]) => text.replaceAll(variable, mark), regex);
  const globs = patternFromRegex(marked);
  if (globs?.some((glob) => variables.some((name) => glob.includes(`{${name}}`))) === true) return undefined;
  return globs?.map((glob) => marks.reduce((text, [variable, mark]) => text.replaceAll(mark, variable), glob));
}

/** RabbitMQ's regular expression for a topic pattern. */
export function topicPatternToRegex(pattern: NamePattern): string {
  return variables.reduce((regex, name) => regex.replaceAll(`\\{${name}\\}`, `{${name}}`), patternToRegex(pattern));
}
