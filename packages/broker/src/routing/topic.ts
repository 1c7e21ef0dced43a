import type { Routable, RouteBinding, Router } from './router.js';

interface Node<Destination> {
  readonly id: number;
  readonly children: Map<string, Node<Destination>>;
  readonly bindings: Set<RouteBinding<Destination>>;
}

interface Search<Destination> {
  readonly words: readonly string[];
  readonly found: (destination: Destination) => void;
  /** Pairs of node and position already searched; keeps patterns full of `#` linear in nodes times words. */
  readonly seen: Set<number>;
}

/**
 * The topic exchange: keys are words between dots, `*` stands for one word and `#` for any number, none included
 * (AMQP 0-9-1 §3.1.3.3). Bindings live in a trie of words, so that the cost follows the key and not the bindings.
 */
export class TopicRouter<Destination> implements Router<Destination> {
  #nodes = 0;
  readonly #root: Node<Destination> = this.#node();

  add(binding: RouteBinding<Destination>): void {
    let node = this.#root;
    for (const word of wordsOf(binding.routingKey)) {
      let child = node.children.get(word);
      if (child === undefined) node.children.set(word, (child = this.#node()));
      node = child;
    }
    node.bindings.add(binding);
  }

  remove(binding: RouteBinding<Destination>): void {
    const words = wordsOf(binding.routingKey);
    const path = [this.#root];
    for (const word of words) {
      const child = path.at(-1)?.children.get(word);
      if (child === undefined) return;
      path.push(child);
    }
    path.at(-1)?.bindings.delete(binding);
    for (let depth = words.length; depth > 0; depth--) {
      const node = path[depth];
      if (node === undefined || node.bindings.size > 0 || node.children.size > 0) return;
      path[depth - 1]?.children.delete(words[depth - 1] ?? '');
    }
  }

  match(routingKey: string, _message: Routable, found: (destination: Destination) => void): void {
    search(this.#root, 0, { words: wordsOf(routingKey), found, seen: new Set() });
  }

  #node(): Node<Destination> {
    return { id: this.#nodes++, children: new Map(), bindings: new Set() };
  }
}

function wordsOf(key: string): string[] {
  return key === '' ? [] : key.split('.');
}

/** Depth is bounded by the words of a key (255 bytes). */
function search<Destination>(node: Node<Destination>, at: number, what: Search<Destination>): void {
  const { words, found, seen } = what;
  if (node.id !== 0) {
    const place = node.id * 256 + at;
    if (seen.has(place)) return;
    seen.add(place);
  }
  const any = node.children.get('#');
  if (any !== undefined) for (let skip = at; skip <= words.length; skip++) search(any, skip, what);
  if (at === words.length) {
    for (const binding of node.bindings) found(binding.destination);
    return;
  }
  const one = node.children.get('*');
  if (one !== undefined) search(one, at + 1, what);
  const word = words[at] ?? '';
  if (word === '*' || word === '#') return;
  const same = node.children.get(word);
  if (same !== undefined) search(same, at + 1, what);
}
