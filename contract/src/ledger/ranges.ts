/** A growing set of integers kept as ranges, each with a value: what a verifier remembers of a million entries in little room. */
export class Ranges<V> {
  readonly list: { first: number; last: number; value: V }[] = []

  /** Numbers may come in any order; ranges of the same value that touch, given in rising order, become one. */
  add(first: number, last: number, value: V): void {
    const end = this.list.at(-1)
    if (end && end.value === value && first === end.last + 1) end.last = last
    else this.list.push({ first, last, value })
  }

  sort(): void {
    this.list.sort((a, b) => a.first - b.first)
  }

  /** What of `first`…`last` (both included) no range holds. Call `sort` before. */
  *outside(first: number, last: number): Generator<[number, number]> {
    let next = first
    // The first range that may reach in: ranges may overlap, so those before it are looked at too, cheaply by order.
    for (const range of this.list) {
      if (range.first > last) break
      if (range.last < next) continue
      if (range.first > next) yield [next, range.first - 1]
      next = Math.max(next, range.last + 1)
    }
    if (next <= last) yield [next, last]
  }

  valueOf(number: number): V | undefined {
    return this.list.find((range) => range.first <= number && number <= range.last)?.value
  }
}
