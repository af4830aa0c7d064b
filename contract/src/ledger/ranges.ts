/** A growing set of integers kept as ranges, each with a value: what a verifier remembers of a million entries in little room. */
export class Ranges<V> {
  readonly list: { first: number; last: number; value: V }[] = []
  /** How far each range and all before it reach. */
  #reach: number[] = []

  /** Numbers may come in any order; ranges of the same value that touch, given in rising order, become one. */
  add(first: number, last: number, value: V): void {
    if (last < first) return
    const end = this.list.at(-1)
    if (end && end.value === value && first === end.last + 1) end.last = last
    else this.list.push({ first, last, value })
  }

  /** To be called once all were added, before `outside` and `valueOf`. */
  sort(): void {
    this.list.sort((a, b) => a.first - b.first)
    let reach = Number.NEGATIVE_INFINITY
    this.#reach = this.list.map(({ last }) => {
      reach = Math.max(reach, last)
      return reach
    })
  }

  /** What of `first`…`last` (both included) no range holds. */
  *outside(first: number, last: number): Generator<[number, number]> {
    let next = first
    for (let at = this.#reaching(first); at < this.list.length && next <= last; at++) {
      const range = this.list[at]!
      if (range.first > last) break
      if (range.last < next) continue
      if (range.first > next) yield [next, range.first - 1]
      next = range.last + 1
    }
    if (next <= last) yield [next, last]
  }

  valueOf(number: number): V | undefined {
    // Of those up to it none reaches so far: where this one begins later, none holds it.
    const range = this.list[this.#reaching(number)]
    return range && range.first <= number ? range.value : undefined
  }

  /** The first range that ends at `number` or later: ranges may overlap, so it is asked of how far all before it reach. */
  #reaching(number: number): number {
    let [low, high] = [0, this.#reach.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#reach[middle]! < number) low = middle + 1
      else high = middle
    }
    return low
  }
}
