/** Digits of an id that tell its place; ids are random from the first digit on. */
const hashedDigits = 8;

/**
 * Values by random id, of which many come and go every second: open addressing in two arrays that are never replaced while
 * they are large enough. A `Map` replaces its table again and again, and V8 chains the old ones to the new ones: once one of
 * them has grown old, everything that was ever in the map survives until the next full collection.
 */
export class IdTable<T> {
  #ids: (string | undefined)[] = Array.from({ length: 64 });
  #values: (T | undefined)[] = Array.from({ length: 64 });
  #mask = 63;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: string): T | undefined {
    return this.#values[this.#find(id)];
  }

  set(id: string, value: T): void {
    if (2 * this.#size > this.#mask) this.#grow();
    const at = this.#find(id);
    if (this.#ids[at] === undefined) this.#size += 1;
    this.#ids[at] = id;
    this.#values[at] = value;
  }

  /** False when it was not there. */
  delete(id: string): boolean {
    let gap = this.#find(id);
    if (this.#ids[gap] === undefined) return false;
    this.#size -= 1;
    // What was pushed aside by the one that goes, moves up.
    for (let at = (gap + 1) & this.#mask; this.#ids[at] !== undefined; at = (at + 1) & this.#mask) {
      const home = placeOf(this.#ids[at] ?? '') & this.#mask;
      if (((at - home) & this.#mask) < ((at - gap) & this.#mask)) continue;
      this.#ids[gap] = this.#ids[at];
      this.#values[gap] = this.#values[at];
      gap = at;
    }
    this.#ids[gap] = undefined;
    this.#values[gap] = undefined;
    return true;
  }

  /** What is in it now, in no order. */
  values(): T[] {
    return this.#values.filter((value) => value !== undefined);
  }

  clear(): void {
    this.#ids.fill(undefined);
    this.#values.fill(undefined);
    this.#size = 0;
  }

  /** Where the id stands, or else belongs. */
  #find(id: string): number {
    let at = placeOf(id) & this.#mask;
    while (this.#ids[at] !== undefined && this.#ids[at] !== id) at = (at + 1) & this.#mask;
    return at;
  }

  #grow(): void {
    const [ids, values] = [this.#ids, this.#values];
    const length = 2 * ids.length;
    this.#ids = Array.from({ length });
    this.#values = Array.from({ length });
    this.#mask = length - 1;
    for (const [index, id] of ids.entries()) {
      if (id === undefined) continue;
      const at = this.#find(id);
      this.#ids[at] = id;
      this.#values[at] = values[index];
    }
  }
}

function placeOf(id: string): number {
  let place = 0;
  for (let at = 0; at < hashedDigits && at < id.length; at += 1) place = (Math.imul(place, 31) + id.charCodeAt(at)) | 0;
  return place ^ (place >>> 15);
}
