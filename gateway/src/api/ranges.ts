import { Transform } from 'node:stream'

/**
 * The beginning of what a `Range` header asks for, where it is `bytes=N-` (RFC 9110, section 14.1.2); undefined for every
 * other form, which is answered as if it weren't there.
 */
export function rangeFrom(header: string | undefined): number | undefined {
  const found = /^bytes=(\d{1,15})-$/.exec(header ?? '')
  return found ? Number(found[1]) : undefined
}

/** Passes on the bytes from `from` up to and without `to` of what goes through, and ends then. */
export function slice(from: number, to: number): Transform {
  let at = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const start = Math.max(0, from - at)
      const end = Math.min(chunk.length, to - at)
      at += chunk.length
      if (start < end) this.push(chunk.subarray(start, end))
      done()
    },
  })
}
