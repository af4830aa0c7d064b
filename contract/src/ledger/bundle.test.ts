import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { canonical } from '../canonical.ts'
import { type BundleContent, writeBundle } from './bundle.ts'
import { type VerifyBundleOptions, verifyBundle } from './bundle-verify.ts'
import { concat, hex, utf8 } from './encoding.ts'
import type { SignerKey } from './note.ts'
import { readBody, readTar, writeTar } from './tar.ts'
import { collect, crypto, key, smallWorld, type World } from './testing/world.ts'

const write = (content: BundleContent, signer: SignerKey = key('first')) =>
  collect(writeBundle(crypto, content, [signer]))
const verify = (bytes: Uint8Array, options: VerifyBundleOptions = { keys: [key('first')] }) =>
  verifyBundle(crypto, bytes, options)
async function unpack(bytes: Uint8Array) {
  const members: { name: string; length: number; bytes: Uint8Array }[] = []
  for await (const member of readTar(bytes)) {
    const body = await readBody(member, 1 << 24)
    members.push({ name: member.name, length: body.length, bytes: body })
  }
  return members
}

let world: World
let content: BundleContent
let bundle: Uint8Array
beforeAll(async () => {
  world = smallWorld()
  content = await world.bundle('se_one')
  bundle = await write(content)
})

describe('a bundle', () => {
  it('is whole with the pinned key, and lists its parts', async () => {
    const report = await verify(bundle)
    expect(report.findings).toEqual([])
    expect(report).toMatchObject({
      outcome: 'whole',
      checkpoint: { size: world.log.size },
      manifest: { about: { kind: 'session', session: 'se_one' } },
    })
    expect(report.parts.map(({ part, state }) => [part, state])).toEqual([
      ['manifest', 'whole'],
      ['checkpoint', 'whole'],
      ['earlier', 'whole'],
      ['policy', 'whole'],
      ['entries', 'whole'],
      ['decisions', 'whole'],
      ['recording se_one', 'whole'],
    ])
  })

  it('is the same bytes for the same content, and reads from a stream in small pieces', async () => {
    expect(await write(content)).toEqual(bundle)
    async function* pieces() {
      for (let at = 0; at < bundle.length; at += 1000) yield bundle.subarray(at, at + 1000)
    }
    expect((await verifyBundle(crypto, pieces(), { keys: [key('first')] })).outcome).toBe('whole')
  })

  it("without a pinned key is never more than can't tell", async () => {
    const report = await verify(bundle, {})
    expect(report).toMatchObject({ outcome: 'cant-tell', findings: [], signedBy: [] })
    expect(new Set(report.parts.map(({ state }) => state))).toEqual(new Set(['cant-tell']))
  })

  it("of another log's key is broken, and says whose it is", async () => {
    const report = await verify(bundle, { keys: [key('stranger')] })
    expect(report.outcome).toBe('broken')
    expect(report.findings[0]!.text).toMatch(
      /^checkpoint is not signed by a key that you trust: signed by gw\.example\.com\/ledger\+/,
    )
  })

  it('whose payloads and recording were erased is whole, and says by what', async () => {
    const world = smallWorld()
    const by = world.erase([world.sessions.get('se_one')!], ['se_one'])
    world.sign()
    const report = await verify(await write(await world.bundle('se_one')))
    expect(report.findings).toEqual([])
    expect(report.outcome).toBe('whole')
    expect(report.parts.at(-1)).toEqual({
      part: 'recording se_one',
      state: 'erased',
      text: `erased, by deletion entry #${by}`,
    })
  })

  it('that says erased where no deletion entry does is incomplete', async () => {
    const entries = content.entries.map(({ opened, ...entry }) =>
      entry.n === 8 ? { ...entry, erasedBy: 1 } : { ...entry, opened: opened! },
    )
    const report = await verify(await write({ ...content, entries }))
    expect(report.outcome).toBe('incomplete')
    expect(report.findings[0]).toMatchObject({ code: 'erased-unexplained', where: { entry: 8 } })
  })

  it('from after a rotation is whole for who pinned the old key, and broken when signed by the old one', async () => {
    const world = smallWorld()
    world.rotate(key('second'))
    world.append('sign-in', { outcome: 'ok', via: 'api' })
    world.sign()
    const content = await world.bundle('se_one')
    const bytes = await write(content, key('second'))
    for (const pinned of ['first', 'second']) {
      const report = await verify(bytes, { keys: [key(pinned)] })
      expect([pinned, report.outcome, report.findings]).toEqual([pinned, 'whole', []])
    }
    const old = await verify(await write(content, key('first')), { keys: [key('first')] })
    expect(old.findings.map(({ code, where }) => [code, where.member])).toEqual([['signature', 'manifest.note']])
  })

  it('shows a fork to whoever saw another checkpoint', async () => {
    expect((await verify(bundle, { keys: [key('first')], seen: world.checkpoints })).outcome).toBe('whole')
    const seen = utf8(new TextDecoder().decode(world.checkpoint).replace(/\n[^\n]{43}=\n/, `\n${'A'.repeat(43)}=\n`))
    expect((await verify(bundle, { keys: [key('first')], seen: [seen] })).findings[0]).toMatchObject({
      code: 'forked',
      where: { entry: world.log.size },
    })
  })

  it('of 1,500 entries is whole too (its time is the bench’s to tell)', async () => {
    const world = smallWorld()
    world.session('se_long', 400, 4096)
    world.sign()
    expect((await verify(await write(await world.bundle('se_long')))).outcome).toBe('whole')
  })
})

describe('a bundle that the gateway itself made wrong is told by its contents', () => {
  it.each<[string, (content: BundleContent) => BundleContent, string, RegExp]>([
    [
      'a command left out',
      (content) => ({
        ...content,
        entries: content.entries.filter(({ type }, i, all) => type !== 'command' || all[i - 1]?.type !== 'command'),
      }),
      'commands-missing',
      /had 40 commands .*, this bundle has 1 of them/,
    ],
    [
      'a chunk left out',
      (content) => ({
        ...content,
        entries: content.entries.toSpliced(
          content.entries.findLastIndex(({ type }) => type === 'recording.chunk'),
          1,
        ),
      }),
      'chunk-missing',
      /recording se_one from byte \d+ on is in no entry/,
    ],
    [
      'no end',
      (content) => ({ ...content, entries: content.entries.filter(({ type }) => type !== 'session.closed') }),
      'session-without-end',
      /has no end in this bundle/,
    ],
    [
      'another verdict',
      (content) => ({ ...content, decisions: content.decisions.map((one) => ({ ...one, verdict: 'deny' as const })) }),
      'decision',
      /is not the one of entry/,
    ],
    [
      'another policy file',
      (content) => ({ ...content, policy: { version: 'v1', files: [{ path: 'base.cedar', bytes: utf8('forbid') }] } }),
      'policy-file',
      /not the file of policy version v1/,
    ],
    [
      'an unlogged policy',
      (content) => ({ ...content, policy: { version: 'v2', files: [] } }),
      'policy-unlogged',
      /no entry of this bundle says/,
    ],
    [
      'another payload',
      (content) => ({
        ...content,
        entries: content.entries.map((entry) =>
          entry.type === 'command' ? { ...entry, opened: { ...entry.opened!, payload: utf8('{}') } } : entry,
        ),
      }),
      'commitment',
      /commits to another payload/,
    ],
    [
      'an entry that is not in the log',
      (content) => ({
        ...content,
        entries: content.entries.map((entry, i, all) => (i === 9 ? { ...entry, proof: all[10]!.proof } : entry)),
      }),
      'inclusion',
      /is not in the log of the checkpoint/,
    ],
    [
      'an earlier checkpoint of a fork',
      (content) => ({
        ...content,
        earlier: content.earlier!.map((one) => ({ ...one, proof: one.proof.toReversed() })),
      }),
      'consistency',
      /did not grow from/,
    ],
    [
      'a recording changed',
      (content) => ({
        ...content,
        recordings: [
          {
            session: 'se_one',
            async *open() {
              yield utf8('x'.repeat(9000))
            },
          },
        ],
      }),
      'chunk-hash',
      /recording se_one was changed between byte 0 and byte 699/,
    ],
    [
      'a recording cut short',
      (content) => ({
        ...content,
        recordings: [
          {
            session: 'se_one',
            async *open() {
              yield world.recordings.get('se_one')!.subarray(0, 1000)
            },
          },
        ],
      }),
      'chunk-missing',
      /recording se_one ends at byte 1000/,
    ],
  ])('%s', async (_what, change, code, text) => {
    const report = await verify(await write(change(content)))
    expect(report.outcome).not.toBe('whole')
    const finding = report.findings.find((one) => one.code === code)
    expect(finding?.text).toMatch(text)
  })
})

describe('a bundle that somebody tampered with', () => {
  it('is broken at every bit, and the member is named', async () => {
    const members = await unpack(bundle)
    const starts: { from: number; to: number; name: string }[] = []
    let at = 0
    for (const { name, length } of members) {
      starts.push({ from: at + 512, to: at + 512 + length, name })
      at += 512 + Math.ceil(length / 512) * 512
    }
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: bundle.length - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
        const copy = new Uint8Array(bundle)
        copy[at]! ^= 1 << bit
        const report = await verify(copy)
        expect(report.outcome).toBe('broken')
        const inside = starts.find(({ from, to }) => from <= at && at < to)
        if (inside) expect(report.findings.map(({ where }) => where.member)).toContain(inside.name)
        else expect(report.findings[0]!.text).toMatch(/at byte \d+|where .* was to come/)
      }),
      { numRuns: 150, seed: 14 },
    )
  })

  it('is broken when members are dropped, added, moved or renamed', async () => {
    const members = await unpack(bundle)
    const changes: [string, typeof members][] = [
      ['dropped', members.toSpliced(9, 1)],
      ['dropped at the end', members.slice(0, -1)],
      ['added', [...members, { name: 'extra', length: 1, bytes: utf8('x') }]],
      ['moved', members.with(8, members[9]!).with(9, members[8]!)],
      ['renamed', members.with(9, { ...members[9]!, name: 'entries/x' })],
      ['empty', []],
      ['no manifest', members.slice(1)],
    ]
    for (const [what, changed] of changes) {
      const report = await verify(await collect(writeTar(changed)))
      expect([what, report.outcome]).toEqual([what, 'broken'])
      expect(report.findings[0]!.text.length).toBeGreaterThan(20)
    }
  })

  it('is broken when the manifest was made anew to fit, since it is signed', async () => {
    const members = await unpack(bundle)
    const text = new TextDecoder().decode(members[0]!.bytes).replace('asked for', 'was asked')
    const note = members[1]!
    const bytes = utf8(text)
    const renoted = utf8(
      new TextDecoder().decode(note.bytes).replace(/sha256 [0-9a-f]{64}/, `sha256 ${hex(crypto.sha256(bytes))}`),
    )
    const changed = [
      { ...members[0]!, length: bytes.length, bytes },
      { ...note, length: renoted.length, bytes: renoted },
      ...members.slice(2),
    ]
    const report = await verify(await collect(writeTar(changed)))
    expect(report.findings.map(({ code, where }) => [code, where.member])).toEqual([
      ['signature', 'manifest.note'],
      ['decision', 'manifest.json'],
    ])
    expect(await verify(utf8('not a bundle'))).toMatchObject({
      outcome: 'broken',
      parts: [{ part: 'file', state: 'broken' }],
    })
    expect((await verify(concat(bundle, bundle))).findings[0]!.text).toMatch(/something follows the end/)
  })
})

describe('a bundle that is made to keep its reader busy', () => {
  const session = (n: number) => `se_${n.toString(36)}`
  const many = Array.from({ length: 200_000 }, (_, n) => session(n))

  it('by very many sessions is answered all the same', async () => {
    const members = await unpack(bundle)
    const manifest = JSON.parse(new TextDecoder().decode(members[0]!.bytes))
    manifest.about = { kind: 'campaign', campaign: 'c', sessions: [...many].reverse() }
    manifest.recordings = many.map((session) => ({ bytes: 0, erasedBy: 1, session }))
    manifest.decisions = many.slice(0, 20_000).map((session) => ({ ...manifest.decisions[0], approval: session }))
    const names = new Set(members.map(({ name }) => name))
    for (const name of names) if (name.startsWith('recordings/')) names.delete(name)
    manifest.members = manifest.members.filter(({ name }: { name: string }) => names.has(name))
    const nothing = { length: 0, bytes: utf8(''), sha256: hex(crypto.sha256(utf8(''))) }
    const documents = ['campaign.json', 'items.csv', 'report.html'].map((name) => ({ name, ...nothing }))
    manifest.members.push(...documents.map(({ name, length, sha256 }) => ({ name, length, sha256 })))
    const bytes = utf8(canonical(manifest))
    const kept = [...members.slice(1).filter(({ name }) => names.has(name)), ...documents]
    const hostile = await collect(writeTar([{ name: 'manifest.json', length: bytes.length, bytes }, ...kept]))
    const report = await verify(hostile)
    expect(report.outcome).toBe('broken')
    expect(report.parts.find(({ part }) => part === 'decisions')?.state).toBe('broken')
  })
})
