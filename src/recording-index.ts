/**
 * The compact index of a recording, as the core sends it and the renderer reads it: columns of whole numbers, each as
 * the difference from the one before, in LEB128, as base64. 300,000 commands are about two megabytes.
 */

/** Writes whole numbers up to 2^53 as LEB128. */
export class Packer {
  #bytes = new Uint8Array(1024)
  length = 0

  uint(n: number): void {
    if (this.length + 10 > this.#bytes.length) {
      const more = new Uint8Array(this.#bytes.length * 2)
      more.set(this.#bytes)
      this.#bytes = more
    }
    while (n >= 128) {
      this.#bytes[this.length++] = (n % 128) | 128
      n = Math.floor(n / 128)
    }
    this.#bytes[this.length++] = n
  }

  int(n: number): void {
    this.uint(n < 0 ? -2 * n - 1 : 2 * n)
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.length)
  }
}

/** Reads what a Packer wrote. @throws RangeError where the bytes end too early */
export class Unpacker {
  readonly bytes: Uint8Array
  at = 0
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  uint(): number {
    // Nearly all are small: differences from the one before.
    const first = this.bytes[this.at]!
    if (first < 128) {
      this.at++
      return first
    }
    let n = 0
    for (let place = 1; ; place *= 128) {
      const byte = this.bytes[this.at++]
      if (byte === undefined || place > 2 ** 52) throw new RangeError('the index of this recording ends too early')
      n += (byte & 127) * place
      if (byte < 128) return n
    }
  }

  int(): number {
    const n = this.uint()
    if (n < 0x7fffffff) return (n >> 1) ^ -(n & 1)
    return n % 2 === 1 ? -(n + 1) / 2 : n / 2
  }
}

export const stepKinds = ['command', 'held', 'note', 'end'] as const
export const verdicts = ['allow', 'deny', 'hold', 'none'] as const
export const statuses = ['none', 'completed', 'failed', 'refused'] as const

/** What one byte says of a step. */
export interface StepFlags {
  kind: (typeof stepKinds)[number]
  verdict: (typeof verdicts)[number]
  status: (typeof statuses)[number]
  /** Let pass by `mode: observe` though the verdict says otherwise. */
  observed: boolean
  masked: boolean
}

export function packFlags({ kind, verdict, status, observed, masked }: StepFlags): number {
  const places = stepKinds.indexOf(kind) | (verdicts.indexOf(verdict) << 2) | (statuses.indexOf(status) << 4)
  return places | (observed ? 64 : 0) | (masked ? 128 : 0)
}

export function unpackFlags(byte: number): StepFlags {
  return {
    kind: stepKinds[byte & 3]!,
    verdict: verdicts[(byte >> 2) & 3]!,
    status: statuses[(byte >> 4) & 3]!,
    observed: (byte & 64) !== 0,
    masked: (byte & 128) !== 0,
  }
}

/** Columns from some place on. Times are milliseconds since the session began, to the microsecond. */
export interface IndexColumns {
  steps: { seq: Uint32Array; t: Float64Array; flags: Uint8Array }
  markers: { step: Uint32Array; t: Float64Array; kind: Uint8Array; label: Uint32Array }
  /** From when to when something was held; -1 while it waits. In the order in which holds began. */
  holds: { step: Uint32Array; from: Float64Array; to: Float64Array }
  /** When something happened: rising, none less than 100 ms after the one before. */
  moments: Float64Array
}

const micros = (ms: number) => Math.round(ms * 1000)

/** Packs columns; `unpackColumns` gives them back. */
export function packColumns({ steps, markers, holds, moments }: IndexColumns): Uint8Array {
  const packer = new Packer()
  const rising = (column: Uint32Array | Float64Array, scale: (n: number) => number) => {
    let before = 0
    for (const value of column) {
      const n = scale(value)
      packer.int(n - before)
      before = n
    }
  }
  const same = (n: number) => n
  packer.uint(steps.seq.length)
  rising(steps.seq, same)
  rising(steps.t, micros)
  for (const byte of steps.flags) packer.uint(byte)
  packer.uint(markers.step.length)
  rising(markers.step, same)
  rising(markers.t, micros)
  for (const byte of markers.kind) packer.uint(byte)
  for (const label of markers.label) packer.uint(label)
  packer.uint(holds.step.length)
  rising(holds.step, same)
  rising(holds.from, micros)
  for (const [i, to] of holds.to.entries()) packer.int(to < 0 ? -1 : micros(to) - micros(holds.from[i]!))
  packer.uint(moments.length)
  rising(moments, micros)
  return packer.finish()
}

/** @throws RangeError where the bytes aren't what packColumns wrote */
export function unpackColumns(bytes: Uint8Array): IndexColumns {
  const from = new Unpacker(bytes)
  const count = () => {
    const n = from.uint()
    if (n > bytes.length) throw new RangeError('the index of this recording is damaged')
    return n
  }
  const rising = <T extends Uint32Array | Float64Array>(column: T, scale: number): T => {
    let now = 0
    for (let i = 0; i < column.length; i++) {
      now += from.int()
      column[i] = now / scale
    }
    return column
  }
  const plain = <T extends Uint8Array | Uint32Array>(column: T): T => {
    for (let i = 0; i < column.length; i++) column[i] = from.uint()
    return column
  }
  const s = count()
  const steps = {
    seq: rising(new Uint32Array(s), 1),
    t: rising(new Float64Array(s), 1000),
    flags: plain(new Uint8Array(s)),
  }
  const m = count()
  const markers = {
    step: rising(new Uint32Array(m), 1),
    t: rising(new Float64Array(m), 1000),
    kind: plain(new Uint8Array(m)),
    label: plain(new Uint32Array(m)),
  }
  const h = count()
  const holds = {
    step: rising(new Uint32Array(h), 1),
    from: rising(new Float64Array(h), 1000),
    to: new Float64Array(h),
  }
  for (let i = 0; i < h; i++) {
    const lasted = from.int()
    holds.to[i] = lasted < 0 ? -1 : holds.from[i]! + lasted / 1000
  }
  const moments = rising(new Float64Array(count()), 1000)
  return { steps, markers, holds, moments }
}

/** How many of a rising column's values are at or before `value`. */
export function countUpTo(column: ArrayLike<number>, value: number): number {
  let low = 0
  let high = column.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (column[middle]! <= value) low = middle + 1
    else high = middle
  }
  return low
}

export function fromBase64(text: string): Uint8Array {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}
