import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { verifyBundle } from '@countersign/contract/ledger/bundle-verify'
import { formatVerifierKey, parseVerifierKey, signerKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { loadConfig } from '../config/config.ts'
import { runsOn } from '../retain.ts'
import { aud, filesIn, GatewayWorld, verify } from './testing/world.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const bin = join(import.meta.dirname, '..', '..', 'bin', 'countersign-gateway.js')
let world: GatewayWorld
beforeAll(async () => {
  world = await GatewayWorld.start()
  await world.serve()
  await world.work()
})
afterAll(() => world?.[Symbol.asyncDispose]())

async function run(...args: string[]) {
  const child = spawn(process.execPath, [bin, ...args], { cwd: world.folder, stdio: ['ignore', 'pipe', 'pipe'] })
  const exit = once(child, 'exit')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { stdout, stderr, code: (await exit)[0] as number }
}
const key = (vkey: string) => parseVerifierKey(nodeCrypto.sha256, vkey)
const vkey = () => readFileSync(join(world.data, 'ledger', 'vkey'), 'utf8').trim()
const bundleOf = async (file: string, ...keys: string[]) =>
  verifyBundle(nodeCrypto, readFileSync(join(world.folder, file)), { keys: keys.map(key) })

/** In the order of a store's life. */
describe('while the gateway is at work', () => {
  it('verify finds it whole, again and again, whatever is done meanwhile', async () => {
    let working = true
    const work = (async () => {
      for (let day = 0; day < 3; day++) await world.work()
      working = false
    })()
    let times = 0
    while (working) {
      const report = await verify(world.data)
      expect(report.findings).toEqual([])
      expect(report).toMatchObject({ outcome: 'whole', live: true })
      times++
    }
    await work
    expect(times).toBeGreaterThan(1)
  })

  it('verify finds what was changed under it', async () => {
    const oldest = (await world.sessions()).at(-1)!
    const sealed = filesIn(join(world.data, 'recordings')).find((name) => name.includes(oldest))!
    const file = join(world.data, 'recordings', sealed)
    const before = readFileSync(file)
    const plain = zstdDecompressSync(before)
    plain[plain.length - 100]! ^= 1
    writeFileSync(file, zstdCompressSync(plain))
    const { outcome, findings } = await verify(world.data)
    expect([outcome, findings[0]?.code]).toEqual(['broken', 'chunk-hash'])
    writeFileSync(file, before)
  })

  it('show-key prints the key, rotate-key refuses', async () => {
    expect(await run('ledger', 'show-key', '--config', 'gateway.json')).toMatchObject({
      stdout: `${vkey()}\n`,
      code: 0,
    })
    const refused = await run('ledger', 'rotate-key', '--config', 'gateway.json', '--reason', 'yearly')
    expect(refused).toMatchObject({
      stdout: '',
      code: 1,
      stderr: expect.stringMatching(/a gateway is at work on .*: stop it first/),
    })
  })

  it('export writes bundles of sessions that have ended, and of one that has not', async () => {
    const client = await world.client('deployer')
    await client.query('select 1 as still_here')
    const [open, ended] = (await world.sessions()) as [string, string]
    // Asked over HTTP the log is signed up to here.
    expect((await world.call(`/v1/sessions/${open}/bundle`, aud)).status).toBe(200)
    for (const session of [open, ended]) {
      const { stdout, stderr, code } = await run('export', '--config', 'gateway.json', '--session', session)
      expect([stdout, stderr, code]).toEqual([`${join(world.folder, `${session}.evidence.tar`)}\n`, '', 0])
      const report = await bundleOf(`${session}.evidence.tar`, vkey())
      expect(report.findings).toEqual([])
      expect(report.outcome).toBe('whole')
      expect(report.manifest?.recordings[0]?.open).toBe(session === open ? true : undefined)
      expect(statSync(join(world.folder, `${session}.evidence.tar`)).mode & 0o777).toBe(0o600)
    }
    await client.end()
  })
})

describe('after it was killed', () => {
  it('what was not taken into the log yet is incomplete, never broken; the next start takes it in', async () => {
    const client = await world.client('killed')
    await client.query('select 2 as last_words')
    // What a kill leaves: the files as they are.
    const data = world.copy()
    await client.end()
    const before = await verify(data)
    expect(before).toMatchObject({ outcome: 'incomplete', integrity: 'whole', live: false })
    expect(before.findings.map(({ text }) => text).join('\n')).toMatch(/start (the gateway|it) once/)
    const config = JSON.parse(readFileSync(world.config, 'utf8'))
    writeFileSync(join(world.folder, 'killed.json'), JSON.stringify({ ...config, data }))
    await using again = await world.serve('killed.json')
    await again.stop()
    const after = await verify(data)
    expect(after.findings).toEqual([])
    expect(after.outcome).toBe('whole')
    rmSync(data, { recursive: true })
  })
})

describe('once it is stopped', () => {
  beforeAll(() => world.stop())

  it('verify --config says so in lines and as JSON, by the exit status too', async () => {
    const lines = await run('verify', '--config', 'gateway.json')
    expect(lines.stderr).toBe('')
    expect(lines.stdout).toMatch(
      /^whole: .*countersign-data\n(.*\n)+ {2}log {9}\S+\/ledger, \d+ entries\n {2}recordings {2}\d+ bytes/,
    )
    expect(lines.stdout).toMatch(/Pin it with --key/)
    expect(lines.code).toBe(0)
    const pinned = await run('verify', '--config', 'gateway.json', '--key', vkey(), '--json')
    expect(JSON.parse(pinned.stdout)).toMatchObject({
      outcome: 'whole',
      exit: 0,
      findings: [],
      pinned: true,
      live: false,
    })
    expect(pinned.code).toBe(0)
  })

  it('verify by a key that is another’s is broken', async () => {
    const stranger = formatVerifierKey(
      signerKey(nodeCrypto, key(vkey()).name, 'ed25519', nodeCrypto.sha256(new Uint8Array(9))),
    )
    const { stdout, code } = await run('verify', '--config', 'gateway.json', '--key', stranger)
    expect(stdout).toMatch(/^broken: (.*\n)+.*the key was replaced/)
    expect(code).toBe(1)
  })

  it('verify and export leave every file as it is', async () => {
    const state = () =>
      filesIn(world.data)
        .filter((name) => !/-(wal|shm)$/.test(name))
        .map((name) => [name, statSync(join(world.data, name)).mtimeMs])
    const before = state()
    await run('verify', '--config', 'gateway.json')
    const [file] = filesIn(join(world.data, 'recordings'))
    const session = /se_[a-z2-7]+/.exec(file!)![0]
    const { code } = await run('export', '--config', 'gateway.json', '--session', session, '--out', 'stopped.tar')
    expect(code).toBe(0)
    expect(state()).toEqual(before)
    expect((await bundleOf('stopped.tar', vkey())).outcome).toBe('whole')
    expect((await bundleOf('stopped.tar')).outcome).toBe('cant-tell')
    const again = await run('export', '--config', 'gateway.json', '--session', session, '--out', 'stopped.tar')
    expect(again).toMatchObject({ code: 2, stderr: expect.stringMatching(/stopped\.tar is there already/) })
    const unknown = await run('export', '--config', 'gateway.json', '--session', `se_${'a'.repeat(24)}`)
    expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/has no entry of session/) })
  })

  it('rotate-key puts a new key in its place; the old one and the new one both vouch', async () => {
    const old = vkey()
    const rotated = await run('ledger', 'rotate-key', '--config', 'gateway.json', '--reason', 'yearly')
    expect(rotated.code).toBe(0)
    const now = vkey()
    expect(rotated.stdout).toBe(`${now}\n`)
    expect(now).not.toBe(old)
    await world.serve()
    await world.work()
    const [session] = await world.sessions()
    await world.stop()
    for (const by of [old, now]) {
      const report = await verify(world.data, { keys: [key(by)] })
      expect(report.findings).toEqual([])
      expect(report.outcome).toBe('whole')
    }
    expect((await run('export', '--config', 'gateway.json', '--session', session!, '--out', 'rotated.tar')).code).toBe(
      0,
    )
    for (const by of [old, now]) {
      const report = await bundleOf('rotated.tar', by)
      expect(report.findings).toEqual([])
      expect(report.outcome).toBe('whole')
    }
    const note = join(world.data, 'ledger', 'handover', filesIn(join(world.data, 'ledger', 'handover'))[0]!)
    const before = readFileSync(note, 'utf8')
    writeFileSync(note, before.replace(/.{8}\n$/, 'AAAAAAA=\n'))
    expect((await verify(world.data)).outcome).toBe('broken')
    writeFileSync(note, before)
  })

  it('what retention has erased is no fault, what it has not is', async () => {
    const config = JSON.parse(readFileSync(world.config, 'utf8'))
    writeFileSync(join(world.folder, 'retaining.json'), JSON.stringify({ ...config, retention: { recordings: '30d' } }))
    const loaded = await loadConfig(join(world.folder, 'retaining.json'))
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const [file] = filesIn(join(world.data, 'recordings'))
    const kept = readFileSync(join(world.data, 'recordings', file!))
    const session = /se_[a-z2-7]+/.exec(file!)![0]
    for await (const ran of runsOn(loaded.config, () => Date.now() + 40 * 86_400_000))
      expect(ran.recordings).toBeGreaterThan(0)
    expect(filesIn(join(world.data, 'recordings'))).toEqual([])
    const report = await verify(world.data)
    expect(report.findings).toEqual([])
    expect(report).toMatchObject({ outcome: 'whole', erasedRecordings: expect.any(Number) })
    expect(report.erasedRecordings).toBeGreaterThan(3)
    expect(report.erased).toBeGreaterThan(report.erasedRecordings)
    expect((await run('export', '--config', 'gateway.json', '--session', session, '--out', 'erased.tar')).code).toBe(0)
    const bundle = await bundleOf('erased.tar', vkey())
    expect(bundle.findings).toEqual([])
    expect(bundle.outcome).toBe('whole')
    expect(bundle.parts).toContainEqual(expect.objectContaining({ part: `recording ${session}`, state: 'erased' }))
    // Put back by somebody, it is of nothing that the log can vouch for.
    writeFileSync(join(world.folder, 'kept'), kept)
    copyFileSync(join(world.folder, 'kept'), join(world.data, 'recordings', file!))
    expect((await verify(world.data)).findings[0]).toMatchObject({ about: 'integrity', where: { recording: session } })
  })
})
