import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type DetectedKind, detectedKinds } from '../../masking/detectors.ts'
import { PATIENCE, type Redacted, Redactor } from './redactor.ts'

const pem = (type: 'ec' | 'rsa') =>
  (type === 'ec'
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 })
  ).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
const rsa = pem('rsa')
const openssh = (() => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-key-'))
  try {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')])
    return readFileSync(join(folder, 'key'), 'utf8')
  } finally {
    rmSync(folder, { recursive: true })
  }
})()
const jwt = `eyJhbGciOiJIUzI1NiJ9.${'c3ViamVjdA'.repeat(80)}.abcDEF_123-xyz`

/** What must never pass, by kind. */
const markers: Record<DetectedKind, string[]> = {
  card: ['4111111111111111', '4111 1111 1111 1111', '3782-822463-10005'],
  iban: ['DE89370400440532013000', 'GB82 WEST 1234 5698 7654 32'],
  ssn: ['536-90-4399', '536 90 4399'],
  email: ['jane@example.com', 'jané.o’x@exämple.org', 'a@b.co'],
  phone: ['+49 30 901820', '(212) 555-0142'],
  jwt: [jwt],
  pem: [pem('ec').trimEnd(), rsa.trimEnd(), openssh.trimEnd(), JSON.stringify(rsa).slice(1, -1)],
  'cloud-key': ['AKIAIOSFODNN7EXAMPLE', `ghp_${'a1B2'.repeat(9)}`, `glpat-${'x'.repeat(20)}`],
}
/** What is left of a marker that is found in it; the quote of `o’x` is none of an address. */
const core = (marker: string) => marker.replace('jané.o’', '')

class Stream {
  readonly released: Redacted[] = []
  readonly redactor: Redactor
  constructor(detect: readonly DetectedKind[] = detectedKinds, revealed: readonly DetectedKind[] = [], patience = 20) {
    this.redactor = new Redactor({
      detect,
      reveals: (dataClass) => (revealed as string[]).includes(dataClass),
      patience,
      release: (redacted) => void this.released.push(redacted),
    })
  }
  write(...chunks: (Buffer | string)[]): this {
    for (const chunk of chunks) this.redactor.write(Buffer.from(chunk as string))
    return this
  }
  end(): this {
    this.redactor.end()
    return this
  }
  get client(): Buffer {
    return Buffer.concat(this.released.map(({ client }) => client))
  }
  get recorded(): Buffer {
    return Buffer.concat(this.released.map(({ client, masked }) => masked?.recorded ?? client))
  }
  get classes(): string[] {
    return [...new Set(this.released.flatMap(({ masked }) => masked?.classes ?? []))].sort()
  }
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...at].map((from, n) => bytes.subarray(from, at[n] ?? bytes.length))
}

const shortened = (bytes: Buffer) => (bytes.length > 200 ? `${bytes.toString('utf8', 0, 200)}…` : bytes.toString())

const places = fc.array(fc.nat(1 << 20), { maxLength: 60 })
const filler = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.stringMatching(/^[a-z0-9 .,@:=/+_-]{0,40}$/),
  fc.constantFrom('\n', '\r\n', '\t', '\u001b[31m', '"', '  ', 'eyJ', '-----BEGIN ', 'AKIA', '12 34 ', '@', 'é', '…'),
)
const property = (check: Parameters<typeof fc.assert>[0]) => fc.assert(check, { seed: 20261122, numRuns: 150 })

describe('for any cutting into chunks', () => {
  test.each(detectedKinds)('no %s passes, and the outcome is the same', (kind) => {
    property(
      fc.property(
        fc.array(fc.tuple(filler, fc.constantFrom('\n', '"', '<', '\t'), fc.constantFrom(...markers[kind])), {
          minLength: 1,
          maxLength: 4,
        }),
        filler,
        places,
        (parts, last, places) => {
          const text = `${parts.map(([text, before, marker]) => `${text}${before}${marker}\n`).join('')}${last}`
          const bytes = Buffer.from(text)
          const [whole, inParts] = [new Stream(), new Stream()]
          whole.write(bytes).end()
          inParts.write(...cut(bytes, places)).end()
          expect(inParts.client.toString()).toBe(whole.client.toString())
          for (const [, , marker] of parts) expect(whole.client.toString()).not.toContain(core(marker))
          expect(whole.classes).toContain(kind)
          expect(whole.recorded).toEqual(whole.client)
        },
      ),
    )
  })

  test('what has none passes byte for byte', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }).map((array) => Buffer.from(array)),
      fc.array(filler, { maxLength: 20 }).map((parts) => Buffer.from(parts.join(''))),
    )
    property(
      fc.property(bytes, places, (bytes, places) => {
        const stream = new Stream().write(...cut(bytes, places)).end()
        fc.pre(stream.classes.length === 0)
        expect(stream.client).toEqual(bytes)
      }),
    )
  })

  test('what may be revealed passes as it is, and is masked in the recording', () => {
    property(
      fc.property(
        fc.array(fc.tuple(filler, fc.constantFrom(...detectedKinds)), { minLength: 1, maxLength: 4 }),
        places,
        (parts, places) => {
          const text = parts.map(([text, kind]) => `${text}\n${markers[kind][0]}\n`).join('')
          const [hidden, all] = [new Stream(), new Stream(detectedKinds, detectedKinds)]
          hidden.write(text).end()
          all.write(...cut(Buffer.from(text), places)).end()
          expect(all.client.toString()).toBe(text)
          expect(all.recorded.toString()).toBe(hidden.client.toString())
          expect(all.classes).toEqual(hidden.classes)
        },
      ),
    )
  })

  test('one class revealed and one not', () => {
    const stream = new Stream(['email', 'card'], ['email']).write('jane@exam', 'ple.com 4111 1111 ', '1111 1111\n')
    expect(stream.client.toString()).toBe('jane@example.com [masked: card]\n')
    expect(stream.recorded.toString()).toBe('[masked: email] [masked: card]\n')
    expect(stream.classes).toEqual(['card', 'email'])
  })
})

describe('long output', () => {
  test('without any break only so much waits', () => {
    const stream = new Stream()
    const blob = Buffer.from('abcd efgh '.repeat(20_000))
    for (let at = 0; at < blob.length; at += 1000) {
      stream.write(blob.subarray(at, at + 1000))
      expect(at + 1000 - stream.client.length).toBeLessThanOrEqual(32 * 1024)
    }
    expect(stream.end().client.equals(blob)).toBe(true)
  })

  test('a card anywhere in it is found', () => {
    const card = '4111 1111 1111 1111'
    for (let before = 32_000; before < 33_000; before += 31) {
      const text = `${'word '.repeat(before / 5)}${card} ${'word '.repeat(9000)}`
      const stream = new Stream().write(...cut(Buffer.from(text), [before, before + 9, 60_000])).end()
      expect(stream.client.equals(Buffer.from(text.replace(card, '[masked: card]'))), `behind ${before}`).toBe(true)
    }
  })

  test('a token that is longer than what waits', () => {
    const long = `eyJhbGciOiJIUzI1NiJ9.${'c3ViamVjdA'.repeat(9_000)}.abc`
    for (const text of [`${long} after`, `before ${long} after`]) {
      const stream = new Stream().write(...cut(Buffer.from(text), [10, 20, 40_000, 80_000])).end()
      expect(shortened(stream.client)).toBe(text.replace(long, '[masked: jwt]'))
    }
  })

  test('a megabyte of letters is no token', () => {
    const text = `eyJ${'a'.repeat(1_000_000)}`
    expect(
      new Stream()
        .write(...cut(Buffer.from(text), [5, 70_000]))
        .end()
        .client.toString(),
    ).toBe(text)
  })
})

describe('private keys', () => {
  const prompt = 'deploy@web-1:/srv/app$ '
  test.each([
    ['whole', rsa, ''],
    ['cut after some lines', rsa.split('\n').slice(0, 9).join('\n'), '\n'],
    ['its first line alone', '-----BEGIN PRIVATE KEY-----', '\n'],
    [
      'of PGP, with headers',
      `-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n${'lQOYBF'.repeat(10)}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----`,
      '\n',
    ],
    [
      'with the names of files in front',
      rsa.trimEnd().replace(/^/gm, 'keys/id_rsa:').replace('keys/id_rsa:', ''),
      '\n',
    ],
  ])('%s: what follows is seen', (_, key, between) => {
    const text = `cat key\r\n${key}${between}${prompt}`
    for (const places of [[], [12, 40, 90, 200, 500], Array.from({ length: text.length }, (_, n) => n)]) {
      const stream = new Stream().write(...cut(Buffer.from(text), places)).end()
      const said = stream.client.toString()
      expect(said.startsWith('cat key\r\n[masked: pem]')).toBe(true)
      expect(said.endsWith(prompt)).toBe(true)
      expect(said.length).toBeLessThan(80)
    }
  })

  // Where each finding looks at all that came with it, this takes minutes.
  test('a megabyte of addresses among other than ASCII, and policy is asked once for what came together', () => {
    const released: Buffer[] = []
    let asked = 0
    using redactor = new Redactor({
      detect: ['email'],
      reveals: () => ++asked < 0,
      patience: 20,
      release: ({ client }) => void released.push(client),
    })
    redactor.write(Buffer.alloc(1 << 20, 'ü a@b.co\n'))
    expect(Buffer.concat(released).toString().split('ü [masked: email]\n')).toHaveLength(Math.floor((1 << 20) / 10) + 1)
    expect(asked).toBe(1)
  })

  test('a public key is none', () => {
    const text = `-----BEGIN PUBLIC KEY-----\n${'A'.repeat(64)}\n-----END PUBLIC KEY-----\n`
    expect(new Stream().write(text).end().client.toString()).toBe(text)
  })

  test('lines without an end are not swallowed forever', () => {
    const text = `-----BEGIN PRIVATE KEY-----\n${`${'A'.repeat(64)}\n`.repeat(3000)}`
    const { client } = new Stream().write(text).end()
    expect(client.length).toBeGreaterThan(text.length - 70_000)
  })
})

describe('what waits', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('a prompt is seen after a moment of silence', () => {
    const stream = new Stream(detectedKinds, [], PATIENCE.terminal).write('Password: ')
    expect(stream.client.toString()).toBe('')
    vi.advanceTimersByTime(PATIENCE.terminal + 1)
    expect(stream.client.toString()).toBe('Password: ')
  })

  test('each key that is echoed is seen, and what they make up is masked in the recording', () => {
    const stream = new Stream(['email'])
    for (const key of 'jane@example.com') {
      stream.write(key)
      vi.advanceTimersByTime(25)
    }
    stream.write(' \n')
    expect(stream.client.toString()).toMatch(/^jane@example\.c/)
    expect(stream.recorded.toString()).toContain('[masked: email]')
  })

  test('what looks like a secret waits longer, and a pause in it does no harm', () => {
    for (const marker of ['4111 1111 1111 1111', 'AKIAIOSFODNN7EXAMPLE', jwt]) {
      const stream = new Stream().write(`\n${marker.slice(0, 12)}`)
      vi.advanceTimersByTime(100)
      stream.write(`${marker.slice(12)}\n`)
      expect(stream.client.toString()).toMatch(/^\n\[masked: [a-z-]+\]\n$/)
    }
  })

  test('what came in time is read before what waits goes on, however late the process is', async () => {
    vi.useRealTimers()
    const stream = new Stream(['email'], [], 1).write('jane@exam')
    const late = performance.now() + 5
    while (performance.now() < late);
    // As from a socket: after timers, before what was set to run immediately.
    await new Promise<void>((resolve) => process.nextTick(resolve))
    stream.write('ple.com\n')
    await new Promise<void>((resolve) => setTimeout(resolve, 5))
    expect(stream.client.toString()).toBe('[masked: email]\n')
  })

  test('nothing is let go after it was disposed of', () => {
    const stream = new Stream().write('half')
    stream.redactor[Symbol.dispose]()
    vi.advanceTimersByTime(10_000)
    expect(stream.released).toEqual([])
  })
})
