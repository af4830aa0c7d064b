import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { BacktestResult, PolicyCheck } from '@countersign/contract/policies'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadPolicyTexts } from '../policy/policy.ts'
import { bot, onTable } from '../policy/testing/policies.ts'
import { putInForce } from '../policy/versions.ts'
import { Past } from './testing/past.ts'

const bin = join(import.meta.dirname, '..', '..', 'bin', 'countersign-gateway.js')
const permit = 'permit (principal, action, resource);'

let past: Past
const folder = (name: string, files: Record<string, string>) => {
  mkdirSync(join(past.folder, name), { recursive: true })
  for (const [file, content] of Object.entries(files)) writeFileSync(join(past.folder, name, file), content)
}
beforeAll(async () => {
  past = await Past.begin(new Date(Date.now() - 3_600_000).toISOString())
  const loaded = loadPolicyTexts([{ file: 'a.cedar', text: permit }])
  if (!loaded.ok) throw new Error('no policies')
  await putInForce(past.store.db, loaded.policies, 'it began')
  await past.configure([{ name: 'orders', kind: 'postgres', tags: [], access: 'standing', mode: 'enforce' }])
  const session = await past.session(bot, 'orders')
  for (const table of ['notes', 'notes', 'orders']) {
    past.pass(1000)
    await past.run(loaded.policies, session, past.command(session, [onTable('sql:read', table)]))
  }
  await past.over()
  writeFileSync(join(past.folder, 'gateway.yaml'), 'data: .\n')
  folder('same', { 'a.cedar': permit })
  folder('tighter', {
    'a.cedar': permit,
    'b.cedar': '@id("no-notes") forbid (principal, action, resource == Table::"orders/public.notes");',
    'b.test.yaml':
      'connections: { orders: {} }\ntests:\n  - { name: "notes \u001b are closed", agent: { groups: [] }, does: sql:read orders/public.notes, expect: deny }\n',
  })
  folder('failing', {
    'a.cedar': permit,
    'a.test.yaml':
      'connections: { orders: {} }\ntests:\n  - { name: nothing is read, agent: { groups: [] }, does: sql:read orders/public.notes, expect: deny }\n',
  })
  folder('broken', { 'a.cedar': '\npermit (principal, action, resource)', 'a.test.yaml': 'tests: 1' })
}, 60_000)
afterAll(() => past[Symbol.asyncDispose]())

async function run(...args: string[]) {
  const child = spawn(process.execPath, [bin, 'policy', ...args], {
    cwd: past.folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit') as Promise<[number | null]>,
  ])
  return { stdout, stderr, code }
}
const backtest = (policies: string, ...more: string[]) =>
  run('backtest', '--config', 'gateway.yaml', '--policy', policies, ...more)

describe('policy backtest, beside whoever has the data folder', () => {
  test('says what would change, and by which policy', async () => {
    const { stdout, stderr, code } = await backtest('tighter')
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^3 commands from .* compared with what was decided then:$/m)
    expect(stdout).toContain('  as before      1 allowed, 0 held, 0 denied\n  newly denied   2\n')
    expect(stdout).toContain('newly denied: 2 commands of Deploy bot on orders: sql:read public.notes\n  by no-notes\n')
    expect(stdout).toMatch(/ allow → deny: statement \d+$/m)
    expect(code).toBe(0)
  })

  test('--check exits 1 where anything would, and 0 where nothing would', async () => {
    const [changed, same] = await Promise.all([backtest('tighter', '--check'), backtest('same', '--check', '--json')])
    expect(changed.code).toBe(1)
    expect(same.code).toBe(0)
    expect(BacktestResult.parse(JSON.parse(same.stdout))).toMatchObject({
      commands: 3,
      same: { allow: 3 },
      changes: [],
    })
  })

  test('is of the time, the agents and the connections that were asked for', async () => {
    const [none, other] = await Promise.all([
      backtest('tighter', '--since', '1s', '--against', 'in-force', '--json'),
      backtest('tighter', '--on', 'payments', '--agent', bot.id, '--json', '--no-overlays'),
    ])
    for (const { stdout } of [none, other]) expect(JSON.parse(stdout)).toMatchObject({ commands: 0, changes: [] })
  })

  test.each<[string, string[], RegExp]>([
    ['policies that don’t load', ['broken'], /broken\/a\.cedar:2: /],
    ['no such folder', ['nowhere'], /nowhere.*can’t be read/],
    ['a window that is none', ['same', '--since', 'yesterday'], /write a duration such as 30d/],
    ['a comparison that is none', ['same', '--against', 'tomorrow'], /recorded or in-force/],
  ])('%s: exits 2', async (_, [policies, ...more], words) => {
    const { stdout, stderr, code } = await backtest(policies!, ...more)
    expect([stdout, code]).toEqual(['', 2])
    expect(stderr).toMatch(words)
  })
})

describe('policy test', () => {
  test('exits 0 where all pass, 1 where one fails or a file is wrong, 2 where there are none', async () => {
    const [passed, failed, broken, none] = await Promise.all(
      ['tighter', 'failing', 'broken', 'same'].map((name) => run('test', name)),
    )
    expect([passed!.stdout, passed!.code]).toEqual(['1 test passed\n', 0])
    expect([failed!.stdout, failed!.code]).toEqual([
      'failing/a.test.yaml:3: nothing is read\n    expected deny\n    got      allow\n1 of 1 tests failed\n',
      1,
    ])
    expect([broken!.stdout, broken!.code]).toEqual([expect.stringMatching(/^broken\/a\.cedar:2: /), 1])
    expect([none!.stderr, none!.code]).toEqual([expect.stringContaining('there are no tests in same'), 2])
  })

  test('--json is a check', async () => {
    const { stdout, code } = await run('test', 'failing', '--json')
    expect(PolicyCheck.parse(JSON.parse(stdout))).toMatchObject({ ok: false, tests: [{ ok: false, got: 'allow' }] })
    expect(code).toBe(1)
  })
})
