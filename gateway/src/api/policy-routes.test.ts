import { PolicyInForce } from '@countersign/contract/api'
import { Backtest, PolicyCheck, PolicyDraft, PolicyVersion, PolicyVersionPage } from '@countersign/contract/policies'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadPolicyTexts } from '../policy/policy.ts'
import { putInForce } from '../policy/versions.ts'
import { type Caller, startWorld, type World } from './testing/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const good = { file: 'a.cedar', text: 'permit (principal, action, resource);' }
const ask = async (path: string, as: Caller, method = 'GET', body?: unknown) => {
  const response = await world.call(path, as, { method, ...(body !== undefined && { body: JSON.stringify(body) }) })
  return { status: response.status, body: response.status === 204 ? undefined : await response.json() }
}
const draft = async (as: Caller = 'rae', body: object = {}) =>
  (await ask('/v1/policy/drafts', as, 'POST', { title: 'tighter', files: [good], ...body })).body as PolicyDraft

describe('who may what', () => {
  //                                                       ada  rae  aud  max  nobody agent
  const matrix: [string, string, unknown, ...number[]][] = [
    ['GET', '/v1/policy/versions', undefined, 200, 200, 200, 200, 403, 403],
    ['GET', '/v1/policy/versions/sha256:none', undefined, 404, 404, 404, 404, 403, 403],
    ['POST', '/v1/policy/check', { files: [good] }, 200, 200, 200, 200, 403, 403],
    ['GET', '/v1/policy/drafts', undefined, 200, 200, 200, 200, 403, 403],
    ['POST', '/v1/policy/drafts', { title: 't', files: [] }, 403, 201, 403, 201, 403, 403],
    ['GET', '/v1/policy/drafts/dr_none', undefined, 404, 404, 404, 404, 403, 403],
    ['PUT', '/v1/policy/drafts/dr_none', { title: 't', files: [], revision: 0 }, 403, 404, 403, 404, 403, 403],
    ['DELETE', '/v1/policy/drafts/dr_none', undefined, 403, 404, 403, 404, 403, 403],
    ['POST', '/v1/policy/backtest', {}, 403, 400, 400, 400, 403, 403],
    ['GET', '/v1/policy/backtests', undefined, 403, 200, 200, 200, 403, 403],
    ['GET', '/v1/policy/backtests/bt_none', undefined, 403, 404, 404, 404, 403, 403],
    ['POST', '/v1/policy/backtests/bt_none/cancel', {}, 403, 404, 404, 404, 403, 403],
  ]
  const callers: Caller[] = ['ada', 'rae', 'aud', 'max', 'nobody', 'agent']
  test.each(matrix)('%s %s', async (method, path, body, ...statuses) => {
    const found: number[] = []
    for (const caller of callers) found.push((await ask(path, caller, method, body)).status)
    expect(found).toEqual(statuses)
  })
})

describe('a check', () => {
  test('says what is wrong, what the validator warns of, and what tests say; nothing is kept', async () => {
    const files = [
      { file: 'a.cedar', text: '@known("x") permit (principal in Group::"ci", action, resource);' },
      {
        file: 'a.test.yaml',
        text: 'tests:\n  - { name: in, agent: { groups: [ci] }, connection: c, does: sql:connect, expect: allow }\n  - { name: out, agent: { groups: [] }, connection: c, does: sql:connect, expect: allow }',
      },
    ]
    const { body } = await ask('/v1/policy/check', 'aud', 'POST', { files })
    expect(PolicyCheck.parse(body)).toMatchObject({
      ok: false,
      version: expect.stringMatching(/^sha256:/),
      problems: [],
      warnings: [{ file: 'a.cedar', line: 1, message: '@known means nothing here' }],
      tests: [
        { name: 'in', ok: true, line: 2 },
        { name: 'out', ok: false, line: 3, expected: 'allow', got: expect.stringContaining('no policy permits') },
      ],
    })
    const wrong = await ask('/v1/policy/check', 'aud', 'POST', {
      files: [{ file: 'b.cedar', text: 'permit (principal, action, resource)\nwhen { context.nothing };' }],
    })
    expect(wrong.body).toMatchObject({
      ok: false,
      problems: [
        { file: 'b.cedar', line: 2, message: expect.stringMatching(/`nothing` .* \(and for \d+ other actions\)$/) },
      ],
      tests: [],
    })
  })

  test.each([
    ['a path', { files: [{ file: '../a.cedar', text: '' }] }],
    ['an overlay', { files: [{ file: 'overlay:ov_1.cedar', text: '' }] }],
    ['twice the same', { files: [good, { ...good, file: 'A.cedar' }] }],
    ['another member', { files: [], also: 1 }],
    ['too much', { files: [1, 2, 3, 4, 5].map((n) => ({ file: `${n}.cedar`, text: ' '.repeat(900_000) })) }],
  ])('%s is refused', async (_, body) => {
    expect((await ask('/v1/policy/check', 'rae', 'POST', body)).status).toBe(400)
  })
})

describe('drafts', () => {
  test('are begun, saved, and conflict where somebody else has saved meanwhile', async () => {
    const begun = PolicyDraft.parse(await draft('rae'))
    expect(begun).toMatchObject({ revision: 0, base: 'sha256:00', by: { name: 'rae' }, check: { ok: true } })
    const files = [{ file: 'b.cedar', text: 'permit (principal, action, resource' }]
    const change = { title: 'other', files, revision: 0 }
    const saved = await ask(`/v1/policy/drafts/${begun.id}`, 'max', 'PUT', change)
    expect(saved).toMatchObject({
      status: 200,
      body: {
        revision: 1,
        title: 'other',
        files,
        by: { name: 'rae' },
        changedBy: { name: 'max' },
        check: { ok: false },
      },
    })
    const late = await ask(`/v1/policy/drafts/${begun.id}`, 'rae', 'PUT', { ...change, title: 'mine' })
    expect(late).toMatchObject({ status: 409, body: { detail: expect.stringContaining('max'), draft: saved.body } })
    const blind = await ask(`/v1/policy/drafts/${begun.id}`, 'rae', 'PUT', { title: 'mine', files })
    expect(blind.status).toBe(400)
    expect((await ask(`/v1/policy/drafts/${begun.id}`, 'ada')).body).toEqual(saved.body)
    expect((await ask(`/v1/policy/drafts/${begun.id}`, 'rae', 'DELETE')).status).toBe(204)
    expect((await ask(`/v1/policy/drafts/${begun.id}`, 'rae')).status).toBe(404)
  })

  test('of two that save the same revision at once one conflicts', async () => {
    const { id } = await draft()
    const save = (title: string) => ask(`/v1/policy/drafts/${id}`, 'rae', 'PUT', { title, files: [good], revision: 0 })
    const both = await Promise.all([save('one'), save('two')])
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409])
  })

  test('are listed by their last change, page by page', async () => {
    for (const title of ['x', 'y', 'z']) await draft('rae', { title })
    const titles: string[] = []
    for (let after = ''; ; ) {
      const { body } = await ask(`/v1/policy/drafts?limit=2${after}`, 'ada')
      titles.push(...body.items.map((one: PolicyDraft) => one.title))
      if (body.next === null) break
      after = `&after=${encodeURIComponent(body.next)}`
    }
    expect(titles.slice(0, 3)).toEqual(['z', 'y', 'x'])
    expect(new Set(titles).size).toBeGreaterThanOrEqual(3)
    expect((await ask('/v1/policy/drafts?after=nonsense', 'ada')).status).toBe(400)
  })

  test('that are long come a few at a time, whatever is asked for: they are more than there is memory for', async () => {
    const long = (n: number) => ({ file: `long${n}.cedar`, text: `// ${'x'.repeat(900_000)}` })
    const files = [good, ...[1, 2, 3, 4].map(long)]
    const made: string[] = []
    for (let n = 0; n < 4; n++) made.push((await draft('rae', { title: `long ${n}`, files })).id)
    const seen: string[] = []
    for (let after = ''; ; ) {
      const { body } = await ask(`/v1/policy/drafts?limit=10000${after}`, 'ada')
      const items = body.items as PolicyDraft[]
      expect(items.filter(({ title }) => title.startsWith('long ')).length).toBeLessThanOrEqual(2)
      seen.push(...items.map(({ id }) => id))
      if (body.next === null) break
      after = `&after=${encodeURIComponent(body.next)}`
    }
    expect(seen).toEqual(expect.arrayContaining(made))
    expect(new Set(seen).size).toBe(seen.length)
    for (const id of made) await ask(`/v1/policy/drafts/${id}`, 'rae', 'DELETE')
  })
})

test('the past of policy: who, why, since and until when, and which files were others', async () => {
  const max = { id: 'https://idp#max', issuer: 'https://idp', subject: 'max', name: 'max' }
  const sets = [
    [['a.cedar', 'permit (principal, action, resource);']],
    [
      ['a.cedar', 'permit (principal, action == Action::"sql:read", resource);'],
      ['b.cedar', 'forbid (principal, action, resource) when { context.time.hour > 20 };'],
    ],
    [['a.cedar', 'permit (principal, action, resource);']],
  ]
  const versions: string[] = []
  for (const [index, set] of sets.entries()) {
    const texts = set.map(([file, text]) => ({ file: file!, text: text! }))
    const loaded = loadPolicyTexts(texts)
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const { policies } = loaded
    const why = index === 1 ? { reason: 'the review said so', by: max } : 'the gateway began'
    await putInForce(world.store.db, policies, why, new Date(Date.UTC(2026, 0, 1 + index)))
    versions.push(policies.version)
  }
  const { body } = await ask('/v1/policy/versions?limit=2', 'ada')
  expect(body.items.map((one: unknown) => PolicyVersion.parse(one))).toEqual([
    {
      ...{ version: versions[2], from: '2026-01-03T00:00:00.000Z', reason: 'the gateway began', files: ['a.cedar'] },
      by: { kind: 'gateway', name: 'the gateway' },
      changed: [
        { file: 'a.cedar', what: 'changed' },
        { file: 'b.cedar', what: 'removed' },
      ],
    },
    {
      ...{ version: versions[1], from: '2026-01-02T00:00:00.000Z', until: '2026-01-03T00:00:00.000Z' },
      ...{ by: { kind: 'person', name: 'max' }, reason: 'the review said so', files: ['a.cedar', 'b.cedar'] },
      changed: [
        { file: 'a.cedar', what: 'changed' },
        { file: 'b.cedar', what: 'added' },
      ],
    },
  ])
  const rest = (await ask(`/v1/policy/versions?limit=2&after=${body.next}`, 'ada')).body
  expect(rest).toMatchObject({
    items: [{ version: versions[0], until: '2026-01-02T00:00:00.000Z', changed: [{ file: 'a.cedar', what: 'added' }] }],
    next: null,
  })
  const page = await ask(`/v1/policy/versions/${versions[0]}`, 'aud')
  expect(PolicyVersionPage.parse(page.body)).toMatchObject({
    from: '2026-01-03T00:00:00.000Z',
    texts: [{ file: 'a.cedar', text: 'permit (principal, action, resource);' }],
  })
  expect((await ask('/v1/policy/versions?after=x', 'ada')).status).toBe(400)
  const policy = PolicyInForce.parse((await ask('/v1/policy', 'ada')).body)
  expect(policy).toEqual({ version: 'sha256:00', texts: [good], tests: [] })
})

describe('a backtest', () => {
  test.each<[string, object, RegExp]>([
    ['of nothing', {}, /a draft, or send files/],
    ['of both', { draft: 'dr_1', files: [] }, /one of them/],
    ['of a draft that is not there', { draft: 'dr_1' }, /no such draft/],
    ['of what does not load', { files: [{ file: 'a.cedar', text: 'permit' }] }, /don’t load: a\.cedar:1/],
    ['since nonsense', { files: [good], since: 'yesterday' }, /write a duration such as 30d/],
    ['since tomorrow', { files: [good], since: '2999-01-01' }, /not before until/],
  ])('%s is refused', async (_, body, words) => {
    const { status, body: problem } = await ask('/v1/policy/backtest', 'rae', 'POST', body)
    expect([status, problem.detail]).toEqual([400, expect.stringMatching(words)])
  })

  test('of a data folder that can’t be read fails, and says so', async () => {
    const { status, body } = await ask('/v1/policy/backtest', 'aud', 'POST', { files: [good] })
    expect(status).toBe(202)
    expect(Backtest.parse(body)).toMatchObject({ state: 'running', by: { name: 'aud' }, against: 'recorded' })
    await world.policyWork.backtests.idle()
    const after = await ask(`/v1/policy/backtests/${body.id}`, 'rae')
    expect(after.body).toMatchObject({ state: 'failed', problem: expect.stringMatching(/It could not be done: /) })
    expect((await ask(`/v1/policy/backtests/${body.id}/cancel`, 'rae', 'POST', {})).status).toBe(403)
    expect((await ask(`/v1/policy/backtests/${body.id}/cancel`, 'max', 'POST', {})).status).toBe(409)
    expect((await ask('/v1/policy/backtests', 'rae')).body.items).toHaveLength(1)
  })
})
