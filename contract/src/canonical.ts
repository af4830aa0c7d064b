/**
 * RFC 8785 (JCS): keys sorted by UTF-16 code units, ECMAScript's own forms of numbers and strings, no white space.
 * Members that are undefined are left out, as JSON.stringify does.
 * @throws TypeError for what JSON has no one form of: NaN, a lone surrogate, a Date or Map; RangeError for a cycle, or
 * what is nested too deep for the stack
 */
export function canonical(value: unknown): string {
  if (typeof value === 'string') return quoted(value)
  begin()
  write(value)
  return decoder.decode(slab.subarray(start, at))
}

/** As {@link canonical}, in UTF-8. */
export function canonicalBytes(value: unknown): Uint8Array {
  begin()
  write(value)
  const bytes = slab.subarray(start, at)
  start = at
  return bytes
}

/** The value of a text that is its own canonical form; undefined otherwise (so for duplicate keys, and other spellings). */
export function parseCanonical(text: string): { value: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return canonical(value) === text ? { value } : undefined
  } catch {
    return undefined
  }
}

// It is written as bytes, into slabs that many share: every command has a canonical form, and putting it together as
// text takes four times as long.
const SLAB = 1 << 16
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
let slab = new Uint8Array(SLAB)
/** Where the value that is being written begins; what is before belongs to others. */
let start = 0
let at = 0

function begin(): void {
  // One that had grown for a large value is left to it.
  if (start > SLAB - 1024 || slab.length > SLAB) {
    slab = new Uint8Array(SLAB)
    start = 0
  }
  at = start
}

/** Makes sure that so many bytes more can be written. */
function room(bytes: number): void {
  if (at + bytes <= slab.length) return
  const larger = new Uint8Array(Math.max(SLAB, 2 * (at - start + bytes)))
  larger.set(slab.subarray(start, at))
  slab = larger
  at -= start
  start = 0
}

function write(value: unknown): void {
  switch (typeof value) {
    case 'string':
      writeString(value)
      break
    case 'boolean':
      writeAscii(value ? 'true' : 'false')
      break
    case 'number':
      if (!Number.isFinite(value)) throw new TypeError(`${value} has no canonical form`)
      writeAscii(JSON.stringify(value))
      break
    case 'object':
      if (value === null) writeAscii('null')
      else if (Array.isArray(value)) writeArray(value)
      else writeObject(value as Record<string, unknown>)
      break
    default:
      throw new TypeError(`a ${typeof value} has no canonical form`)
  }
}

function writeArray(values: readonly unknown[]): void {
  writeByte(0x5b)
  for (let i = 0; i < values.length; i++) {
    if (i > 0) writeByte(0x2c)
    write(values[i])
  }
  writeByte(0x5d)
}

function writeObject(value: Record<string, unknown>): void {
  const prototype = Object.getPrototypeOf(value)
  // A Map or Date would be `{}`, whatever is in it.
  if (prototype !== Object.prototype && prototype !== null)
    throw new TypeError('only plain objects, arrays and simple values have a canonical form')
  let before = 0x7b
  for (const name of sorted(Object.keys(value))) {
    const member = value[name]
    if (member === undefined) continue
    writeByte(before)
    before = 0x2c
    writeString(name)
    writeByte(0x3a)
    write(member)
  }
  if (before === 0x7b) writeByte(0x7b)
  writeByte(0x7d)
}

/** In place. Objects have few members, which are moved in less time than sort() takes to begin. */
function sorted(names: string[]): string[] {
  if (names.length > 30) return names.sort((a, b) => (a < b ? -1 : 1))
  for (let i = 1; i < names.length; i++) {
    const name = names[i]!
    let to = i
    for (; to > 0 && names[to - 1]! > name; to--) names[to] = names[to - 1]!
    names[to] = name
  }
  return names
}

/** Longer ones are left to JSON.stringify, which is quicker then. */
const SHORT = 500

function writeString(text: string): void {
  if (text.length > SHORT || !writePlain(text)) writeQuoted(text)
}

/** False where something has to be escaped, or is not ASCII; nothing is written then. */
function writePlain(text: string): boolean {
  room(text.length + 2)
  let to = at
  slab[to++] = 0x22
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x20 || code > 0x7e || code === 0x22 || code === 0x5c) return false
    slab[to++] = code
  }
  slab[to++] = 0x22
  at = to
  return true
}

function writeQuoted(text: string): void {
  const json = quoted(text)
  room(3 * json.length)
  at += encoder.encodeInto(json, slab.subarray(at)).written
}

function quoted(text: string): string {
  // UTF-8 turns every lone surrogate into the same character: two texts would have one hash.
  if (!text.isWellFormed()) throw new TypeError('a text with a lone surrogate has no canonical form')
  return JSON.stringify(text)
}

function writeAscii(text: string): void {
  room(text.length)
  for (let i = 0; i < text.length; i++) slab[at++] = text.charCodeAt(i)
}

function writeByte(byte: number): void {
  room(1)
  slab[at++] = byte
}
