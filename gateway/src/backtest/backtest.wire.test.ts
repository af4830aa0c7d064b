import type { PolicyInForce } from '@countersign/contract/api'
import type { Backtest, BacktestRequest } from '@countersign/contract/policies'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { AccessWorld } from '../access/testing/world.ts'
import { Psql } from '../reviews/apply/testing/world.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let world: AccessWorld
beforeAll(async () => {
  world = await AccessWorld.start()
})
afterAll(() => world?.[Symbol.asyncDispose]())

/** What came of a statement that is held, once Ada has decided. */
async function decided(psql: Psql, statement: string, verdict: 'approve' | 'deny'): Promise<string> {
  const feed = await world.listen(await world.person('ada'))
  const said = psql.ask(statement)
  const messages = await feed.until((all) => all.some(({ type }) => type === 'approval.opened'))
  const opened = messages.find(({ type }) => type === 'approval.opened')!
  const { id, command } = opened.data as { id: string; command: { digest: string } }
  await feed.close()
  await world.as('ada', `/v1/approvals/${id}/decisions`, { verdict, reason: 'because', digest: command.digest })
  return said
}

async function backtested(request: BacktestRequest): Promise<NonNullable<Backtest['result']>> {
  const feed = await world.listen(await world.person('rae'))
  const { id } = await world.as<Backtest>('rae', '/v1/policy/backtest', request)
  await feed.until((all) =>
    all.some(({ type, data }) => type === 'backtest.changed' && data.id === id && data.state !== 'running'),
  )
  await feed.close()
  const { result, problem } = await world.as<Backtest>('rae', `/v1/policy/backtests/${id}`)
  if (!result) throw new Error(problem)
  return result
}

test('what psql did is said again of the same policies, and of others what they would have said', async () => {
  const token = await world.jwt('bot')
  {
    await using psql = new Psql(world.port, 'files', token)
    await psql.ask('select lower(what), count(*) from items group by 1;')
    await psql.ask('insert into items values (1), (2);')
    await psql.ask('create temp table made (id int);')
    await psql.ask('insert into made select id from items;')
    await psql.ask("select pg_read_file('/etc/passwd');")
    await psql.ask('select nothing from nowhere;')
    await psql.ask('not a statement;')
    await psql.ask('set role postgres;')
    expect(await decided(psql, 'delete from items where id = 1;', 'approve')).not.toContain('ERROR')
    expect(await decided(psql, 'delete from items;', 'deny')).toContain('because')
    await psql.ask('begin; select 1; select count(*) from items; commit;')
  }
  {
    const bound = await world.jwt('bound')
    const grant = await world.grant(bound, { connection: 'files', actions: ['sql:read'] })
    const { access_token } = await world.exchange(bound, 'files', { grant: grant.id })
    await using psql = new Psql(world.port, 'files', access_token)
    await psql.ask('select count(*) from items;')
    expect(await psql.ask('insert into items values (3);')).toContain('no live grant covers')
  }
  {
    const { access_token } = await world.exchange(token, 'orders', { grant: (await world.grant(token)).id })
    await using psql = new Psql(world.port, 'orders', access_token)
    await psql.ask('insert into items values (4);')
  }
  {
    await using psql = new Psql(world.port, 'watched', await world.jwt('watched'))
    await psql.ask('delete from items where id = 4;')
  }
  for (;;) {
    const feed = await world.listen(await world.person('aud'))
    if ((await world.sessions()).every(({ state }) => state !== 'open')) break
    await feed.until((all) => all.some(({ type }) => type === 'session.closed'))
    await feed.close()
  }

  const { texts } = await world.as<PolicyInForce>('aud', '/v1/policy')
  const itself = await backtested({ files: texts, since: '1h' })
  expect(itself.changes).toEqual([])
  expect(itself.commands).toBeGreaterThanOrEqual(15)
  expect(itself.same.hold).toBeGreaterThanOrEqual(2)
  expect(itself.same.deny).toBeGreaterThanOrEqual(2)
  expect(itself).toMatchObject({ unreadable: 0 })

  const draft = {
    file: 'draft.cedar',
    text: `@id("no-files") forbid (principal, action in Action::"sql", resource) when { context.command.functions.contains("lower") };
      @id("no-temp") forbid (principal, action == Action::"sql:write", resource is Table) when { resource.schema == "pg_temp" };
      @id("look") @hold("dba") forbid (principal, action == Action::"sql:write", resource in Connection::"orders") unless { context has approval };`,
  }
  const withoutDeletes = texts.map(({ file, text }) => ({
    file,
    text: text.replace(/@id\("deletes"\)[^;]*;/, ''),
  }))
  const other = await backtested({ files: [...withoutDeletes, draft], since: '1h' })
  const told = other.changes.map(({ change, policies, commands, samples, was }) => ({
    ...{ change, policies, commands, was },
    texts: samples.map(({ text }) => text),
  }))
  expect(told).toContainEqual({
    ...{ change: 'newly-denied', policies: ['no-files'], commands: 1, was: { allow: 1, hold: 0, deny: 0 } },
    texts: [expect.stringMatching(/^select lower/)],
  })
  expect(told).toContainEqual(expect.objectContaining({ change: 'newly-denied', policies: ['no-temp'], commands: 1 }))
  expect(told).toContainEqual(expect.objectContaining({ change: 'newly-held', policies: ['look'], commands: 1 }))
  const allowed = told.filter(({ change }) => change === 'newly-allowed')
  expect(allowed.flatMap(({ texts }) => texts)).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^delete from items where id = 1/),
      expect.stringMatching(/^delete from items;?$/),
    ]),
  )
  expect(allowed.every(({ was }) => was.hold > 0)).toBe(true)
})
