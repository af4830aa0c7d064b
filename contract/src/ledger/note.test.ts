import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LedgerError } from './errors.ts'
import {
  formatNote,
  formatSignerKey,
  formatVerifierKey,
  openNote,
  parseNote,
  parseSignerKey,
  parseVerifierKey,
  signNote,
  signText,
} from './note.ts'
import { crypto, key } from './testing/world.ts'

// Keys, text and signatures as golang.org/x/mod/sumdb/note documents and tests them.
const peterVkey = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const peterSkey = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const enochVkey = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop'
const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const peterSig =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n'
const enochSig =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n'
const vkey = (text: string) => parseVerifierKey(crypto.sha256, text)
const peter = vkey(peterVkey)
const enoch = vkey(enochVkey)
const code = (run: () => unknown) => {
  try {
    run()
    return 'none'
  } catch (error) {
    if (error instanceof LedgerError) return error.code
    throw error
  }
}

describe('keys', () => {
  it('are read and written as Go does', () => {
    expect(peter).toMatchObject({ name: 'PeterNeumann', id: 0xc74f20a3, type: 'ed25519' })
    expect(formatVerifierKey(peter)).toBe(peterVkey)
    const signer = parseSignerKey(crypto, peterSkey)
    expect(formatSignerKey(signer)).toBe(peterSkey)
    expect(Buffer.from(signer.publicKey).equals(Buffer.from(peter.publicKey))).toBe(true)
  })

  it('are refused when any of their text is cut off or changed', () => {
    for (const [whole, parse] of [
      [peterVkey, vkey],
      [peterSkey, (text: string) => parseSignerKey(crypto, text)],
    ] as const) {
      for (let i = 0; i < whole.length; i++) {
        for (const part of [
          whole.slice(0, i),
          whole.slice(i + 1),
          whole.slice(0, i) + String.fromCharCode(whole.charCodeAt(i) + 1) + whole.slice(i + 1),
        ])
          expect(code(() => parse(part))).toBe('malformed-key')
      }
    }
  })

  it.each([
    ['another length', 'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=='],
    ['an unknown type', 'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'],
    ['an id in capitals', peterVkey.replace('c74f20a3', 'C74F20A3')],
    ['a name with a space', peterVkey.replace('PeterNeumann', 'Peter Neumann')],
    ['a name with a next-line character', peterVkey.replace('PeterNeumann', 'Peter\u0085Neumann')],
    ['no name', peterVkey.replace('PeterNeumann', '')],
  ])('of %s are refused', (_what, text) => expect(code(() => vkey(text))).toBe('malformed-key'))

  it('never show a private key in an error', () => {
    expect(() => parseSignerKey(crypto, peterSkey.replace('c74f', 'c74e'))).toThrow(/^(?!.*EKFALV)/)
  })
})

describe('signed notes', () => {
  it('are signed and opened as Go does', () => {
    expect(signNote(crypto, text, [parseSignerKey(crypto, peterSkey)])).toBe(`${text}\n${peterSig}`)
    const one = openNote(crypto, `${text}\n${peterSig}${enochSig}`, [peter])
    expect(one.text).toBe(text)
    expect(one.verified.map(({ key }) => key.name)).toEqual(['PeterNeumann'])
    expect(one.unknown.map(({ name, id }) => [name, id])).toEqual([['EnochRoot', 0xaf0cfe78]])
    const both = openNote(crypto, `${text}\n${peterSig}${enochSig}`, [peter, enoch])
    expect(both.verified.map(({ key }) => key.name)).toEqual(['PeterNeumann', 'EnochRoot'])
    expect(openNote(crypto, `${text}\n${peterSig}${peterSig}`, [peter]).verified).toHaveLength(1)
  })

  it("verify a checkpoint of Sigsum's test log, from torchwood's tests of its witness", () => {
    const name = 'sigsum.org/v1/tree/985ea163f5af026723561354f51f2ebcdcf2af809ce254ccfb64aa9aadd80f90'
    const publicKey = Buffer.from('52c05edad1bf5feffa81354faae59a655d9a9a1a793ed2f62c39c26c0be2aecd', 'hex')
    const id = crypto.sha256(Buffer.from(`${name}\n\x01`, 'latin1'), publicKey)
    const key = vkey(
      `${name}+${Buffer.from(id).toString('hex', 0, 4)}+${Buffer.concat([Buffer.of(1), publicKey]).toString('base64')}`,
    )
    const note = `${name}\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— ${name} 7BKT0gOfNZ1J0So9unY3BZtm2YkPIoNYM/dce0Z2avJDs8dxN6ts9bOSwwrVrbjm6P9K3ZxpK6jJngOG6YvGGzV/lwo=\n`
    expect(openNote(crypto, note, [key]).verified).toHaveLength(1)
    expect(code(() => openNote(crypto, note.replace('\n1\n', '\n2\n'), [key]))).toBe('bad-signature')
  })

  it('have a text with empty lines: the last one divides (the example of the specification)', () => {
    const poem = 'Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n'
    const line =
      '— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n'
    const note = parseNote(`${poem}\n${line}`)
    expect(note.text).toBe(poem)
    expect(note.signatures.map(({ name }) => name)).toEqual(['quasimodo.example/salvatore'])
    expect(formatNote(note)).toBe(`${poem}\n${line}`)
  })

  it.each<[string, string | Uint8Array]>([
    ['no signatures', text],
    ['no signatures after the blank line', `${text}\n`],
    ['no newline at the end', `${text}\n${peterSig.slice(0, -1)}`],
    ['a control character', `\x01${text}\n${peterSig}`],
    ['a carriage return', `${text.replace('\n', '\r\n')}\n${peterSig}`],
    ['bytes that are not UTF-8', Buffer.concat([Buffer.of(0xff), Buffer.from(`${text}\n${peterSig}`)])],
    ['a lone surrogate', `\ud800${text}\n${peterSig}`],
    ['a name with a space', `${text}\n— Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZI=\n`],
    ['a name with a plus', `${text}\n${peterSig.replace('PeterNeumann', 'Peter+Neumann')}`],
    ['a line that is no signature', `${text}\n${peterSig}Unexpected line.\n`],
    ['two hyphens for the dash', `${text}\n${peterSig.replace('—', '--')}`],
    ['base64 without padding', `${text}\n${peterSig.replace('=', '')}`],
    ['base64 with stray bits', `${text}\n${peterSig.replace('JnAM=', 'JnAN=')}`],
    ['a signature shorter than a key id', `${text}\n— PeterNeumann x08g\n`],
    ['101 signatures', `${text}\n${peterSig.repeat(101)}`],
    ['a megabyte', `${'x'.repeat(1_000_000)}\n\n${peterSig}`],
  ])('with %s are refused', (_what, note) => expect(code(() => openNote(crypto, note, [peter]))).toBe('malformed-note'))

  it('are refused for one wrong signature of a known key, and for having none of a known key', () => {
    const wrong = peterSig.replace('x08go/ZJ', 'x08go/ZK')
    expect(code(() => openNote(crypto, `${text}\n${wrong}`, [peter]))).toBe('bad-signature')
    expect(code(() => openNote(crypto, `${text}\n${wrong}${enochSig}`, [peter, enoch]))).toBe('bad-signature')
    expect(code(() => openNote(crypto, `${text}\n${peterSig}`, [enoch]))).toBe('unknown-key')
    expect(code(() => openNote(crypto, `${text}\n${peterSig}`, []))).toBe('unknown-key')
    // Name and id of a known key, but another key: an id is short, anybody can find one.
    expect(code(() => openNote(crypto, `${text}\n${peterSig}`, [{ ...peter, publicKey: enoch.publicKey }]))).toBe(
      'bad-signature',
    )
  })

  it('are never made of a text that could not be read back', () => {
    for (const text of ['', 'abc', 'a\tb\n', 'a\r\n', '\ud800\n'])
      expect(code(() => signText(crypto, text, key('a')))).toBe('malformed-note')
  })

  it('fuzzed, are whole or refused: no change of a byte is taken', () => {
    const note = Buffer.from(`${text}\n${peterSig}`)
    fc.assert(
      fc.property(fc.nat({ max: note.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = Buffer.from(note)
        changed[at] = byte
        const result = code(() => openNote(crypto, changed, [peter]))
        expect(result === 'none').toBe(byte === note[at])
      }),
      { numRuns: 1500, seed: 7 },
    )
    const soup = fc.array(
      fc.constantFrom('\n', '\n\n', '— ', ' ', 'a', peterSig, text, 'AAAA', '=', '\u0085', '\0', '\ud800'),
      { maxLength: 12 },
    )
    fc.assert(
      fc.property(soup, (parts) => {
        const whole = parts.join('')
        const result = code(() => openNote(crypto, whole, [peter]))
        if (result === 'none') expect(openNote(crypto, whole, [peter]).text).toBe(text)
        if (result === 'none' || result === 'unknown-key') expect(formatNote(parseNote(whole))).toBe(whole)
      }),
      { numRuns: 2000, seed: 8 },
    )
  })
})
