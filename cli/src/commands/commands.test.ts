import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  AccessAnswer,
  AgentAccess,
  AgentRecord,
  ConnectionRecord,
  Delegation,
  Freeze,
  Grant,
  PersonRecord,
  Plan,
} from '@countersign/contract/access'
import { listOf } from '@countersign/contract/api'
import { Approval } from '@countersign/contract/approval'
import { FeedMessage } from '@countersign/contract/feed'
import { Me } from '@countersign/contract/identity'
import { RecordingLine } from '@countersign/contract/recording'
import { Session } from '@countersign/contract/session'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { z } from 'zod'
import { sampleAccess } from '../../../demo/access.ts'
import { startWorld, type World } from '../../../demo/world.ts'
import { bin, browserAs, newUser, type Ran, type User } from '../testing/cli.ts'

// Each runs many processes, one after another, on machines that do other things, too.
vi.setConfig({ testTimeout: 120_000 })

let folder: string
let world: World
/** People who are signed in, each on a machine of their own. */
const people = new Map<string, User>()
let agent: User

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-commands-'))
  world = await startWorld({ folder, ...sampleAccess })
  agent = newUser(world.api)
  const token = await world.agents.agentToken({ subject: 'billing-cleanup' })
  writeFileSync(join(agent.home, 'token'), token, { mode: 0o600 })
  agent.env.COUNTERSIGN_SUBJECT_TOKEN_FILE = join(agent.home, 'token')
  for (const name of ['ada', 'ben', 'admin']) people.set(name, newUser(world.api))
  const signedIn = [...people].map(([name, user]) => user.run(['login'], { BROWSER: browserAs(name) }))
  expect((await Promise.all(signedIn)).map(({ code }) => code)).toEqual([0, 0, 0])
}, 120_000)
afterAll(async () => {
  await world?.stop()
  for (const user of [...people.values(), agent]) user?.[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

const ada = () => people.get('ada')!
const admin = () => people.get('admin')!
const words = (line: string) => line.split(' ')
const asked = ['grants', 'request', 'payments', '--purpose', 'month end', '--actions']
const idOf = ({ out }: Ran) => (JSON.parse(out) as { id: string }).id
const heldGrant = async () => Grant.parse(await agent.json([...asked, 'sql:read,sql:write', '--for', '30m']))

/** psql through `connect`, with a statement that is held. */
async function heldCommand(statement: string) {
  const psql = agent.start(words('connect orders --purpose purge -- psql -Atc').concat(statement))
  psql.process.stdin!.end()
  const [, id] = await psql.said(/held for approval (ap_\w+)/)
  return { psql, id: id! }
}

describe('approvals', () => {
  it('shows the whole command, and approves what was shown and nothing else', async () => {
    const statement = `UPDATE payments SET amount = amount\n/* ${'x'.repeat(300)} \u202e\u001b[2J */\nWHERE id = 3`
    const { psql, id } = await heldCommand(statement)
    const card = await ada().run(['approvals', 'show', id])
    expect(card.out).toContain('    | WHERE id = 3')
    expect(card.out).toContain(`    | /* ${'x'.repeat(300)} \\u{202e}\\u{1b}[2J */`)
    expect(card.out).toMatch(/agent +billing-cleanup \(.*#billing-cleanup\); owner admin@shop\.example/)
    expect(card.out).toMatch(/purpose\n {4}\| purge/)
    const { command } = Approval.parse(await ada().json(['approvals', 'show', id]))
    expect(card.out).toContain(`  digest   ${command.digest}\n`)

    const approve = ['approvals', 'approve', id, '--yes', '--reason', 'fine', '--digest']
    const other = `sha256:${'0'.repeat(64)}`
    expect(await ada().run([...approve, other])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/another command/),
    })
    expect(await agent.run([...approve, command.digest])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/approvers; you are an agent/),
    })
    expect(await admin().run([...approve, command.digest])).toMatchObject({ code: 1 })
    expect(Approval.parse(await ada().json([...approve, command.digest])).state).toBe('approved')
    expect(await psql.ended).toMatchObject({ code: 0, out: 'UPDATE 1\n' })
    expect(await ada().run(['approvals', 'deny', id])).toMatchObject({ code: 1, out: '' })
  })

  it('asks on a terminal, takes no for an answer to anything but y, and nothing that was typed before', async () => {
    const { psql, id } = await heldCommand('UPDATE payments SET amount = amount WHERE id = 4')
    const no = await onTerminal(ada(), ['approvals', 'approve', id], [[/Approve it\? \[y\/N\]/, '\n']])
    expect(no.out).toContain('    | UPDATE payments SET amount = amount WHERE id = 4')
    expect(no).toMatchObject({ code: 1, out: expect.stringContaining('nothing was decided') })
    const early = await onTerminal(
      ada(),
      ['approvals', 'approve', id],
      [
        [/^/, 'y\n'],
        [/Approve it\? \[y\/N\]/, '\n'],
      ],
    )
    expect(early.code).toBe(1)
    const yes = await onTerminal(
      ada(),
      ['approvals', 'approve', id, '--reason', 'ok'],
      [[/Approve it\? \[y\/N\]/, 'y\n']],
    )
    expect(yes).toMatchObject({ code: 0, out: expect.stringContaining(`approved: ${id}`) })
    expect((await psql.ended).out).toBe('UPDATE 1\n')
  })

  it('denies with words that the agent reads, and tells who watches', async () => {
    const watching = ada().start(['approvals', 'watch', '--after', '0', '--json'])
    const { psql, id } = await heldCommand('UPDATE payments SET amount = amount WHERE id = 5')
    expect((await ada().run(['approvals', 'deny', id, '--reason', 'not on a friday'])).code).toBe(0)
    expect(await psql.ended).toMatchObject({
      code: 1,
      err: expect.stringMatching(/denied by Ada Lind: not on a friday/),
    })
    const [upTo] = await watching.printed(new RegExp(`[^]*"type":"approval\\.closed","data":\\{"id":"${id}".*\n`))
    const messages = upTo
      .trim()
      .split('\n')
      .map((line) => FeedMessage.parse(JSON.parse(line)))
    const ofIt = messages.filter(({ data }) => (data as { id?: string }).id === id)
    expect(ofIt.map(({ type }) => type)).toEqual(['approval.opened', 'approval.decided', 'approval.closed'])
    // Who read it has gone, as behind `| head`: at the next line it ends.
    watching.process.stdout!.destroy()
    await heldGrant()
    expect((await watching.ended).code).toBe(0)
  })
})

describe('grants', () => {
  it.each<[says: string, args: string[], code: number, state: string | undefined]>([
    ['given by policy', [...asked, 'sql:read', '--for', '15m'], 0, 'active'],
    ['held for people', [...asked, 'sql:write', '--for', '15m'], 3, 'requested'],
    ['held, and nobody answers', [...asked, 'sql:write', '--wait', '--timeout', '1s'], 3, 'requested'],
    ['permitted by nothing', words('grants request orders --purpose x --actions sql:read'), 1, undefined],
    ['for what is not there', words('grants request nowhere --purpose x --actions sql:read'), 1, undefined],
    ['no action', words('grants request payments --purpose x --actions sql:conquer'), 1, undefined],
    ['no duration', [...asked, 'sql:read', '--for', 'ever'], 2, undefined],
    ['no such grant', ['grants', 'show', 'gr_nothing'], 1, undefined],
  ])('%s: %j exits %i', async (_says, args, code, state) => {
    const ran = await agent.run([...args, '--json'])
    expect([ran.code, ran.err]).toEqual([code, code === 0 ? '' : expect.stringMatching(/^countersign: [^\n]+\n/)])
    if (state === undefined) expect(ran.out).toBe('')
    else expect(Grant.parse(JSON.parse(ran.out)).state).toBe(state)
    if (code === 3) await agent.run(['grants', 'revoke', idOf(ran)])
  })

  it.each<[verdict: 'approve' | 'deny', code: number, state: string]>([
    ['approve', 0, 'active'],
    ['deny', 1, 'denied'],
  ])('waits for people who %s: %i', async (verdict, code, state) => {
    const waiting = agent.start([...asked, 'sql:read,sql:write', '--wait', '--json'])
    const [, id] = await waiting.said(/held for approval (ap_\w+); waiting for people/)
    const { command } = Approval.parse(await ada().json(['approvals', 'show', id!]))
    const yes = verdict === 'approve' ? ['--yes', '--digest', command.digest] : []
    expect((await ada().run(['approvals', verdict, id!, '--reason', 'so be it', ...yes])).code).toBe(0)
    const ended = await waiting.ended
    const grant = Grant.parse(JSON.parse(ended.out))
    expect([ended.code, grant.state]).toEqual([code, state])
    if (state === 'active') {
      expect(
        Grant.parse(await agent.json(['grants', 'extend', grant.id, '--for', '10m', '--purpose', 'not done'])),
      ).toMatchObject({ extends: grant.id })
      expect(Grant.parse(await agent.json(['grants', 'revoke', grant.id, '--reason', 'done']))).toMatchObject({
        state: 'revoked',
        endedBecause: expect.stringContaining('done'),
      })
    }
  })

  it('lists them in the shape of the API, page by page', async () => {
    await heldGrant()
    const page = listOf(Grant).parse(await agent.json(['grants', 'list', '--limit', '1']))
    expect([page.items.length, typeof page.next]).toEqual([1, 'string'])
    const next = listOf(Grant).parse(await agent.json(['grants', 'list', '--limit', '1', '--after', page.next!]))
    expect(next.items[0]!.id).not.toBe(page.items[0]!.id)
    const all = listOf(Grant).parse(await agent.json(['grants', 'list', '--all']))
    expect(all).toMatchObject({ next: null, items: { length: expect.any(Number) } })
    expect(all.items.length).toBeGreaterThan(2)
    const few = await agent.run(['grants', 'list', '--limit', '1'])
    expect(few).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^ID +STATE/),
      err: expect.stringMatching(/there are more: --after \S+, or --all/),
    })
  })

  it('asks for a plan by a file, decided as one', async () => {
    const plan = {
      title: 'Close October',
      purpose: 'month end',
      steps: [
        { title: 'count', connection: 'payments', actions: ['sql:read'], duration: '10m' },
        { title: 'close', connection: 'payments', actions: ['sql:write'], duration: '10m' },
      ],
    }
    const file = join(agent.home, 'plan.json')
    writeFileSync(file, JSON.stringify(plan))
    const waiting = agent.start(['plans', 'request', file, '--wait', '--json'])
    const [, id] = await waiting.said(/held for approval (ap_\w+)/)
    const shown = await ada().run(['approvals', 'show', id!])
    expect(shown.out).toMatch(/plan +Close October/)
    const { command } = Approval.parse(await ada().json(['approvals', 'show', id!]))
    await ada().run(['approvals', 'approve', id!, '--yes', '--digest', command.digest])
    const ended = await waiting.ended
    expect([ended.code, Plan.parse(JSON.parse(ended.out))]).toMatchObject([
      0,
      { state: 'active', grants: { length: 2 } },
    ])
    const { items } = listOf(Plan).parse(await agent.json(['plans', 'list']))
    expect(Plan.parse(await agent.json(['plans', 'show', items[0]!.id])).title).toBe('Close October')
    expect((await agent.run(['plans', 'show', items[0]!.id])).out).toMatch(/ 2\. close: gr_\w+ active/)

    writeFileSync(file, JSON.stringify({ ...plan, steps: [{ ...plan.steps[0], duration: 'long' }] }))
    expect(await agent.run(['plans', 'request', file])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/steps\.0\.duration: a duration such as 30m/),
    })
    expect(await agent.run(['plans', 'request', '-'], {}, 'title: x')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/- is no JSON/),
    })
  })
})

describe('what people see and do', () => {
  it.each<[who: string, args: string, schema: () => z.ZodType]>([
    ['ada', 'whoami', () => Me],
    ['ada', 'approvals list --state used', () => listOf(Approval)],
    ['ada', 'sessions list --connection orders', () => listOf(Session)],
    ['admin', 'sessions list --from 1h --state closed', () => listOf(Session)],
    ['ada', 'grants list --connection payments', () => listOf(Grant)],
    ['ada', 'agents list', () => listOf(AgentRecord)],
    ['ada', 'connections list', () => listOf(ConnectionRecord)],
    ['ada', 'away list', () => listOf(Delegation)],
    ['admin', 'access --connection payments', () => AccessAnswer],
    ['admin', 'access --at 2h --agent nobody#x', () => AccessAnswer],
    ['admin', 'connections freeze payments --reason stop', () => Freeze],
    ['admin', 'connections unfreeze payments --reason go', () => Freeze],
    ['admin', 'connections freeze --everything --reason stop', () => Freeze],
    ['admin', 'connections unfreeze --everything --reason go', () => Freeze],
    ['ada', 'away --until 2d --to ben@shop.example --reason holiday', () => Delegation],
  ])('%s: %s --json has the shape of the API; without, it is lines', async (who, args, schema) => {
    const user = people.get(who)!
    // What changes something can't be done twice.
    const once = /freeze|until/.test(args)
    const [value, lines] = await Promise.all([user.json(words(args)), once ? undefined : user.run(words(args))])
    expect(schema().safeParse(value).error?.issues).toBeUndefined()
    if (!lines) return
    expect([lines.code, lines.err]).toEqual([0, ''])
    expect(lines.out).not.toMatch(/[{}]|undefined|\[object/)
  })

  it('shows, disables and enables an agent', async () => {
    const { items } = listOf(AgentRecord).parse(await ada().json(['agents', 'list', '--text', 'billing-cleanup']))
    const { id } = items[0]!
    expect(AgentRecord.parse(await ada().json(['agents', 'show', id])).id).toBe(id)
    AgentAccess.parse(await ada().json(['agents', 'access', id]))
    expect((await ada().run(['agents', 'access', id])).out).toMatch(/CONNECTION +ACTION +RESOURCE +MAY +BY\n/)
    expect((await ada().run(['agents', 'disable', id, '--reason', 'x'])).code).toBe(1)
    expect(AgentRecord.parse(await admin().json(['agents', 'disable', id, '--reason', 'odd']))).toMatchObject({
      state: 'disabled',
      disabled: { reason: 'odd' },
    })
    expect((await agent.run(['token', 'orders'])).code).not.toBe(0)
    expect(AgentRecord.parse(await admin().json(['agents', 'enable', id, '--reason', 'it was fine'])).state).toBe(
      'active',
    )
    expect((await agent.run(['token', 'orders'])).code).toBe(0)
  })

  it('marks a person as having left, whose agents are orphans then, and takes the mark away', async () => {
    const call = async (subject: string, path: string, body?: object) => {
      const headers = { authorization: `Bearer ${await world.people.personToken({ subject })}` }
      const post = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' } }
      return fetch(`${world.api}${path}`, body ? { ...post, body: JSON.stringify(body) } : { headers })
    }
    const { id: rae } = (await (await call('rae', '/v1/me')).json()) as { id: string }
    const declared = { issuer: world.agents.url, subject: 'of-rae', sponsor: rae }
    expect((await call('admin', '/v1/agents', declared)).status).toBe(201)
    expect(listOf(PersonRecord).parse(await admin().json(['people', 'list', '--text', 'rae'])).items[0]!.id).toBe(rae)
    expect((await ada().run(['people', 'left', rae, '--reason', 'x'])).code).toBe(1)
    const left = await admin().run(['people', 'left', 'rae@shop.example', '--reason', 'moved on'])
    expect([left.code, left.out]).toEqual([0, expect.stringMatching(/left +.*says Max Novak: moved on\n/)])
    expect((await call('rae', '/v1/me')).ok).toBe(false)
    const agent = `/v1/agents/${encodeURIComponent(`${world.agents.url}#of-rae`)}`
    expect(await (await call('admin', agent)).json()).toMatchObject({ orphan: 'sponsor-left' })
    PersonRecord.parse(await admin().json(['people', 'returned', rae, '--reason', 'it was another one']))
    expect((await call('rae', '/v1/me')).ok).toBe(true)
  })

  it('ends a session', async () => {
    const psql = agent.start(words('connect orders -- psql -At'))
    psql.process.stdin!.write('SELECT 7;\n')
    await psql.printed(/^7\n/)
    const { items } = listOf(Session).parse(await admin().json(words('sessions list --state open')))
    const { id } = items[0]!
    Session.parse(await admin().json(['sessions', 'show', id]))
    expect(await admin().run(['sessions', 'terminate', id])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/approvers/),
    })
    const { id: held } = await heldOn(psql)
    Session.parse(await ada().json(['sessions', 'terminate', id, '--reason', 'lunch']))
    expect(held).toMatch(/^ap_/)
    expect(await psql.ended).toMatchObject({ code: 2, err: expect.stringMatching(/lunch/) })

    const file = join(folder, 'recording.ndjson')
    expect(await admin().run(['sessions', 'export', id, file])).toMatchObject({ code: 0 })
    const recording = readFileSync(file, 'utf8').trimEnd().split('\n')
    expect(recording.map((line) => RecordingLine.parse(JSON.parse(line)).type)).toContain('end')
    const cast = ['sessions', 'export', id, join(folder, 'a.cast')]
    expect(await admin().run([...cast, '--as-form', 'cast', '--channel', '1'])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/it has no channels/),
    })
    expect((await admin().run([...cast, '--channel', '1'])).code).toBe(2)
    expect(existsSync(join(folder, 'a.cast'))).toBe(false)
  })

  it('guesses nobody who is to decide in one’s place', async () => {
    expect(await ada().run(words('away --until 2d --to nobody'))).toMatchObject({
      code: 2,
      err: expect.stringMatching(/nobody who has signed in is called nobody/),
    })
    const { items } = listOf(Delegation).parse(await ada().json(['away', 'list']))
    expect(Delegation.parse(await ada().json(['away', 'end', items[0]!.id, '--reason', 'back'])).state).toBe('ended')
  })
})

/** Has a session's client send something that is held: approvers terminate only the sessions of what they decide. */
async function heldOn(psql: ReturnType<User['start']>): Promise<{ id: string }> {
  psql.process.stdin!.write('UPDATE payments SET amount = amount WHERE id = 9;\n')
  const [, id] = await psql.said(/held for approval (ap_\w+)/)
  return { id: id! }
}

/** Runs a command on a terminal (`script` of util-linux), and types each answer once what it answers is there. */
async function onTerminal(
  user: User,
  args: string[],
  answers: [after: RegExp, type: string][],
): Promise<{ code: number; out: string }> {
  const line = [process.execPath, bin, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ')
  const child = spawn('script', ['--quiet', '--return', '--flush', '--command', line, '/dev/null'], { env: user.env })
  let out = ''
  let from = 0
  const left = [...answers]
  const look = () => {
    for (let next = left[0]; next; next = left[0]) {
      const found = next[0].exec(out.slice(from))
      if (!found) return
      from += found.index + found[0].length
      child.stdin.write(next[1])
      left.shift()
    }
  }
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk
    look()
  })
  look()
  const [code] = (await once(child, 'close')) as [number]
  return { code, out }
}
