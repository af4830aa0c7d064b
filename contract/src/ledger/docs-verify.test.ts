import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type BundleContent, writeBundle } from './bundle.ts'
import { formatVerifierKey, type SignerKey } from './note.ts'
import { collect, crypto, key, World } from './testing/world.ts'

/** docs/verify.md, run as it stands there. */
const page = readFileSync(join(import.meta.dirname, '../../../docs/verify.md'), 'utf8')
const steps = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1]!)

let content: BundleContent
let bundle: Uint8Array
let folder: string
beforeAll(async () => {
  const world = new World()
  for (let i = 0; i < 5; i++) world.append('sign-in', { outcome: 'ok', via: 'api' })
  world.session('se_one', 2)
  world.append('sign-in', { outcome: 'ok', via: 'api' })
  world.sign()
  content = await world.bundle('se_one')
  bundle = await write(content)
})
const write = (content: BundleContent) => collect(writeBundle(crypto, content, [key('first')]))
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'verify-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function run(bytes: Uint8Array, signer: SignerKey = key('first')) {
  const file = join(folder, 'evidence.tar')
  writeFileSync(file, bytes)
  const env = { ...process.env, BUNDLE: file, VKEY: formatVerifierKey(signer) }
  const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-euc', steps.join('\n')], { cwd: folder, env })
  return { status, said: `${stdout}${stderr}` }
}

describe('the steps of docs/verify.md', () => {
  it('are six, and find a bundle whole', () => {
    expect(steps).toHaveLength(6)
    const { status, said } = run(bundle)
    expect(said).toBe(
      [
        'Signature Verified Successfully',
        'Signature Verified Successfully',
        'manifest.json: OK',
        'every file is as the manifest says',
        'every entry is in the log',
        'every chunk of the recording is as it was logged',
        '',
      ].join('\n'),
    )
    expect(status).toBe(0)
  })

  const changed = (what: string, by: string) => {
    const text = Buffer.from(bundle).toString('latin1')
    const at = text.indexOf(what)
    expect(at).toBeGreaterThan(0)
    expect(by).toHaveLength(what.length)
    return Buffer.from(text.slice(0, at) + by + text.slice(at + what.length), 'latin1')
  }

  it.each<[string, () => { status: number | null; said: string }, RegExp]>([
    ['another key', () => run(bundle, key('stranger')), /BROKEN: checkpoint is not signed by/],
    ['a manifest', () => run(changed('"madeAt":"2026', '"madeAt":"2025')), /manifest\.json: FAILED/],
    [
      'a recording',
      () => run(changed('select 2 -- se_one', 'select 9 -- se_one')),
      /recordings\/se_one\.ndjson: FAILED/,
    ],
    [
      'a leaf',
      () => run(changed('"n":7,"type":"approval.decided","v"', '"n":9,"type":"approval.decided","v"')),
      /entries\/7\.leaf: FAILED/,
    ],
  ])('find %s that was changed', (_what, attempt, message) => {
    const { status, said } = attempt()
    expect(status).not.toBe(0)
    expect(said).toMatch(message)
  })

  it('find what a gateway itself bundled wrongly', async () => {
    const entries = content.entries.map((entry, i, all) => (i === 3 ? { ...entry, proof: all[4]!.proof } : entry))
    expect(run(await write({ ...content, entries })).said).toMatch(/BROKEN: entry \d+ is not in the log/)
    rmSync(join(folder, 'evidence'), { recursive: true })
    rmSync(join(folder, 'work'), { recursive: true })
    const opened = { ...content.entries[3]!.opened!, payload: new TextEncoder().encode('{}') }
    const other = content.entries.map((entry, i) => (i === 3 ? { ...entry, opened } : entry))
    expect(run(await write({ ...content, entries: other })).said).toMatch(/BROKEN: entry \d+ commits to something else/)
    rmSync(join(folder, 'evidence'), { recursive: true })
    rmSync(join(folder, 'work'), { recursive: true })
    async function* open() {
      yield new Uint8Array(2000)
    }
    const recordings = [{ session: 'se_one', open }]
    expect(run(await write({ ...content, recordings })).said).toMatch(/BROKEN: recordings\/se_one\.ndjson from byte 0/)
  })
})
