/**
 * Whether a routing key fits a pattern of dot-separated words, where `*` stands for one word and `#` for any number
 * (AMQP 0-9-1 §3.1.3.3).
 */
export function matchesTopic(pattern: string, routingKey: string): boolean {
  return matchWords(pattern.split('.'), routingKey === '' ? [] : routingKey.split('.'));
}

function matchWords(pattern: readonly string[], words: readonly string[]): boolean {
  let reachable = new Set([0]);
  for (const part of pattern) {
    const next = new Set<number>();
    for (const at of reachable) {
      if (part === '#') for (let to = at; to <= words.length; to += 1) next.add(to);
      else if (at < words.length && (part === '*' || part === words[at])) next.add(at + 1);
    }
    reachable = next;
  }
  return reachable.has(words.length);
}
