import { afterEach, describe, expect, test } from 'vitest'
import { loadPolicyTexts, type Policies } from '../../policy/policy.ts'
import { agent, OverlayRoom, other, person, rae } from './testing/room.ts'

let room: OverlayRoom
afterEach(() => room?.[Symbol.asyncDispose]())

const me = `principal == Agent::"${agent}"`
const reading = `forbid (${me}, action, resource in Connection::"orders")
unless { action == Action::"sql:connect" || (action == Action::"sql:read" && resource == Table::"orders/public.items") };`
const max = person('max')
const mia = person('mia')
const reason = 'so it was decided'

const proposed = async (changes: Partial<Parameters<OverlayRoom['propose']>[0]> = {}) => {
  const made = await room.propose({ policy: reading, ...changes })
  if (made === 'not-supported') throw new Error(made)
  return made.id
}
/** Those that another set of policies decides than the one that was put in force. */
const instead = (text: string) => (): Policies => {
  const loaded = loadPolicyTexts([{ file: 'base.cedar', text }])
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.policies
}

describe('who may apply it', () => {
  type Case = [
    what: string,
    item: Parameters<OverlayRoom['item']>[0] | undefined,
    by: ReturnType<typeof person> | undefined,
    who: ReturnType<typeof person>,
    words: RegExp | undefined,
  ]
  const twice = person('max', 'max@shop.test', 'https://another')
  const cases: Case[] = [
    ['somebody else', { deciders: [rae] }, rae, max, undefined],
    ['who proposed it', undefined, max, max, /it was you who proposed it/],
    ['who decided it at an earlier stage', { deciders: [max, rae] }, rae, max, /it was you who decided it/],
    ['in whose place it was decided', { deciders: [rae], inPlaceOf: max }, rae, max, /had it decided in your place/],
    [
      'who decided it by another sign-in',
      { deciders: [twice] },
      rae,
      person('max', 'Max@shop.test'),
      /it was you who decided it/,
    ],
    [
      'who made the campaign that decided by default',
      { deciders: [undefined], madeBy: max },
      undefined,
      max,
      /made the campaign/,
    ],
    [
      'who started the campaign that decided by default',
      { deciders: [undefined], madeBy: rae, startedBy: max },
      undefined,
      max,
      /started the campaign/,
    ],
    [
      'who saved the template of the campaign that decided by default',
      { deciders: [undefined], owner: max },
      undefined,
      max,
      /or its template/,
    ],
    ['another than whose template it was', { deciders: [undefined], owner: rae }, undefined, max, undefined],
    ['another than who made it', { deciders: [undefined], madeBy: rae, startedBy: rae }, undefined, max, undefined],
    ['no admin', undefined, rae, { ...max, roles: ['reviewer', 'auditor', 'approver'] }, /by admins/],
  ]
  test.each(cases)('%s', async (_what, item, by, who, words) => {
    room = await OverlayRoom.open()
    const at = '2026-11-21T12:00:00.000Z'
    for (const { id, issuer, subject, name, email } of [twice])
      await room.store.db
        .insertInto('people')
        .values({
          ...{ id, issuer, subject, name },
          email: email!,
          groups: '[]',
          roles: '[]',
          first_seen_at: at,
          last_seen_at: at,
        })
        .execute()
    const of = item && (await room.item(item))
    const id = await proposed({ by, ...(of && { item: of, campaign: of.replace('it', 'ca') }) })
    const applying = room.overlays.apply(id, who, { reason })
    if (words) {
      await expect(applying).rejects.toMatchObject({ code: 'forbidden', message: words })
      expect(room.sets).toHaveLength(1)
      expect(await room.overlays.get(id)).toMatchObject({ state: 'proposed', inForce: false })
    } else expect(await applying).toMatchObject({ state: 'verified', approved: { by: { name: who.name }, reason } })
  })

  test.each([
    ['its sponsor', person('sponsor', 'sponsor@shop.test')],
    ['for whom it acts', person('boss')],
  ])('nobody rolls back, or rejects, what was taken from an agent of theirs: %s', async (_what, who) => {
    room = await OverlayRoom.open()
    const id = await proposed()
    await expect(room.overlays.reject(id, who, { reason })).rejects.toMatchObject({ code: 'forbidden' })
    await room.overlays.apply(id, who, { reason })
    await expect(room.overlays.rollBack(id, who, { reason })).rejects.toMatchObject({
      code: 'forbidden',
      message: /an agent of theirs/,
    })
    const { rollBack } = await room.overlays.rollBack(id, max, { reason })
    const confirms = rollBack!.at
    await expect(room.overlays.rollBack(id, who, { reason, confirms })).rejects.toMatchObject({ code: 'forbidden' })
    expect(await room.overlays.rollBack(id, mia, { reason, confirms })).toMatchObject({ state: 'rolled-back' })
  })
})

test('who asks for a roll-back at the same moment as another has not agreed to theirs', async () => {
  room = await OverlayRoom.open()
  const id = await proposed()
  await room.overlays.apply(id, max, { reason })
  const both = await Promise.allSettled([
    room.overlays.rollBack(id, max, { reason: 'a job needs it' }),
    room.overlays.rollBack(id, mia, { reason: 'it is slow' }),
  ])
  expect(both).toMatchObject([
    { status: 'fulfilled', value: { inForce: true, rollBack: { by: { name: 'max' } } } },
    { status: 'rejected', reason: { code: 'conflict', message: /max asked to roll it back \(a job needs it\)/ } },
  ])
  const stale = { reason, confirms: '2026-11-20T00:00:00.000Z' }
  await expect(room.overlays.rollBack(id, mia, stale)).rejects.toMatchObject({ code: 'conflict' })
  await expect(room.overlays.rollBack(id, max, { reason: 'and I agree' })).rejects.toMatchObject({ code: 'forbidden' })
  // Refused, it can't be said yes to any more.
  const confirms = (await room.overlays.get(id))!.rollBack!.at
  await room.overlays.reject(id, mia, { reason })
  await expect(room.overlays.rollBack(id, mia, { reason, confirms })).rejects.toMatchObject({ code: 'conflict' })
  expect(await room.overlays.get(id)).toMatchObject({ state: 'verified', inForce: true })
})

describe('its item', () => {
  test('is in step with it, in the same transaction; all is said', async () => {
    room = await OverlayRoom.open()
    const item = await room.item({ used: [['sql:read', 'items', 'select']] })
    const id = await proposed({ item, campaign: 'ca_0', decision: 'de_1' })
    const row = async () => {
      const { application, overlay, revision } = await room.itemRow(item)
      return { application, overlay, revision }
    }
    expect(await row()).toEqual({ application: 'pending', overlay: id, revision: 0 })
    await room.overlays.apply(id, max, { reason })
    expect(await row()).toEqual({ application: 'verified', overlay: id, revision: 2 })
    const asked = await room.overlays.rollBack(id, max, { reason })
    await room.overlays.rollBack(id, mia, { reason, confirms: asked.rollBack!.at })
    expect(await row()).toEqual({ application: 'failed', overlay: id, revision: 3 })
    expect(await room.said('audit_outbox')).toEqual([
      ...['overlay.proposed', 'policy.changed', 'overlay.applied', 'overlay.verified'],
      ...['overlay.roll-back-asked', 'policy.changed', 'overlay.rolled-back', 'overlay.probed'],
    ])
    expect((await room.said('feed')).filter((type) => type === 'campaign.item')).toHaveLength(3)
    const [, entry] = (await room.store.db.selectFrom('audit_outbox').selectAll().execute()).map(({ payload }) =>
      JSON.parse(payload),
    )
    expect(entry).toMatchObject({ by: { kind: 'person', name: 'max' }, reason: `overlay ${id} was applied: ${reason}` })
  })

  test('that was decided anew follows the newer one alone', async () => {
    room = await OverlayRoom.open()
    const item = await room.item()
    const first = await proposed({ item })
    const second = await proposed({ item })
    expect(await room.itemRow(item)).toMatchObject({ overlay: second, application: 'pending' })
    await room.overlays.apply(first, max, { reason })
    expect(await room.itemRow(item)).toMatchObject({ overlay: second, application: 'pending' })
  })

  test('whose policy can be no overlay is not supported, and nothing is proposed', async () => {
    room = await OverlayRoom.open()
    const item = await room.item()
    for (const policy of ['permit (principal, action, resource);', 'forbid (principal, action, resource);', 'nonsense'])
      expect(await room.propose({ policy, item })).toBe('not-supported')
    expect(
      await room.propose({
        policy: `forbid (${me}, action == Action::"sql:nothing", resource in Connection::"orders");`,
        item,
      }),
    ).toBe('not-supported')
    expect(await room.itemRow(item)).toMatchObject({ application: 'not-supported', overlay: null })
    expect((await room.overlays.list({ limit: 10 })).items).toEqual([])
  })
})

describe('what the gate is asked', () => {
  test('what was used is answered as before, what is dropped is denied, others are as they were', async () => {
    room = await OverlayRoom.open()
    const item = await room.item({
      used: [
        ['sql:read', 'items', 'select'],
        ['sql:write', 'orders', 'delete'],
      ],
    })
    const overlay = await room.overlays.apply(await proposed({ item }), max, { reason })
    const probe = (action: string, resource: string, kind: string) =>
      overlay.probes.find(
        (one) => one.action === action && one.resource === resource && one.kind === kind && !one.agent,
      )
    expect(probe('sql:read', 'orders/public.items', 'select')).toMatchObject({
      expect: 'as-before',
      before: 'allow',
      got: 'allow',
      ok: true,
    })
    expect(probe('sql:write', 'orders/public.orders', 'delete')).toMatchObject({
      expect: 'deny',
      before: 'allow',
      got: 'deny',
      ok: true,
    })
    expect(overlay.probes.some((one) => one.agent === other && one.got === 'allow')).toBe(true)
    expect(overlay.probes.some((one) => one.agent === `${agent}-probe` && one.got === 'allow')).toBe(true)
    expect(overlay.probes.some((one) => one.connection === 'vault' && one.got === 'allow')).toBe(true)
    expect(overlay.probed).toMatchObject({ asked: overlay.probes.length, failed: 0 })
  })

  test('all of an item is asked about, however much that is, each write in bounds and beyond', async () => {
    room = await OverlayRoom.open()
    const tables = Array.from({ length: 250 }, (_, at) => `t${at}`)
    const item = await room.item({ used: tables.map((name) => ['sql:write', name, 'update']) })
    // One of them all is left out: whoever asks about some might not see it.
    const kept = tables.slice(0, -1).map((name) => `Table::"orders/public.${name}"`)
    const policy = `forbid (${me}, action in Action::"sql", resource in Connection::"orders")
unless { action == Action::"sql:connect" || (context.command.bounded && resource in [${kept.join(', ')}]) };`
    await room.store.db
      .updateTable('campaign_items')
      .set({
        recommendation: JSON.stringify({ verdict: 'reduce', policy, summary: '', reasons: [], keeps: [], drops: [] }),
      })
      .where('id', '=', item)
      .execute()
    const overlay = await room.overlays.apply(await proposed({ item, policy }), max, { reason })
    expect(overlay).toMatchObject({
      state: 'failed',
      inForce: false,
      failedBecause: /public\.t249 \(update\) was allow/,
    })
    for (const name of tables)
      expect(
        overlay.probes.filter(
          ({ resource, kind, agent: of }) =>
            of === undefined && resource === `orders/public.${name}` && kind === 'update',
        ),
      ).toMatchObject([
        { bounded: true, expect: 'as-before' },
        { bounded: false, expect: 'deny', got: 'deny' },
      ])
  })

  test('a revoke that leaves something is failed, and stays in force', async () => {
    room = await OverlayRoom.open()
    const overlay = await room.overlays.apply(await proposed({ kind: 'revoke' }), max, { reason })
    expect(overlay).toMatchObject({
      state: 'failed',
      inForce: true,
      failedBecause: /sql:connect on orders .* is answered allow, and should be denied/,
    })
    expect(room.sets.at(-1)!.version).toBe(overlay.version)
    expect(room.errors).toHaveLength(1)
    expect(await room.said('audit_outbox')).toContain('overlay.failed')
  })

  test('one that takes what the recommendation keeps is failed, and taken out again', async () => {
    room = await OverlayRoom.open()
    const [before] = room.sets
    const policy = `forbid (${me}, action in [Action::"sql:read", Action::"sql:write"], resource in Connection::"orders");`
    const item = await room.item({ used: [['sql:read', 'items', 'select']], recommendation: { policy } })
    const id = await proposed({ policy, item })
    const overlay = await room.overlays.apply(id, max, { reason })
    expect(overlay).toMatchObject({
      state: 'failed',
      inForce: false,
      failedBecause: /sql:read on orders\/public.items \(select\) was allow, and is deny/,
    })
    expect(overlay.version).toBeUndefined()
    expect(room.sets.at(-1)!.version).toBe(before!.version)
    expect(await room.itemRow(item)).toMatchObject({ application: 'failed' })
    const times = await room.store.db.selectFrom('policy_times').select(['reason', 'by']).orderBy('id').execute()
    expect(times.map(({ by }) => by && JSON.parse(by).name)).toEqual(['max', null])
    expect(times[1]!.reason).toMatch(/taken out again/)
    // Tried again by another admin, to no other end; then rejected.
    expect(await room.overlays.apply(id, mia, { reason })).toMatchObject({ state: 'failed', inForce: false })
    expect(await room.overlays.reject(id, mia, { reason })).toMatchObject({ state: 'rejected' })
  })

  test('where others are answered otherwise by now, it is taken out again', async () => {
    room = await OverlayRoom.open()
    room.decides = (put) =>
      put.texts.some(({ file }) => file.startsWith('overlay:')) ? instead(`permit (${me}, action, resource);`)() : put
    const overlay = await room.overlays.apply(await proposed(), max, { reason })
    expect(overlay).toMatchObject({
      state: 'failed',
      inForce: false,
      failedBecause: new RegExp(`of ${other} was allow, and is deny`),
    })
    expect(room.sets.at(-1)!.texts.map(({ file }) => file)).toEqual(['base.cedar'])
  })

  test('where the gate does not take it in, it is failed, and may be asked about again', async () => {
    room = await OverlayRoom.open()
    room.decides = instead('permit (principal, action, resource);')
    const id = await proposed()
    expect(await room.overlays.apply(id, max, { reason })).toMatchObject({ state: 'failed', inForce: true })
    room.decides = undefined
    const sets = room.sets.length
    expect(await room.overlays.apply(id, mia, { reason })).toMatchObject({ state: 'verified', inForce: true })
    expect(room.sets).toHaveLength(sets)
  })

  test('where taking it out changes something else, it is put back', async () => {
    room = await OverlayRoom.open()
    const id = await proposed()
    const applied = await room.overlays.apply(id, max, { reason })
    room.decides = (put) =>
      put.texts.some(({ file }) => file.startsWith('overlay:')) ? put : instead(`permit (${me}, action, resource);`)()
    const asked = await room.overlays.rollBack(id, max, { reason })
    const overlay = await room.overlays.rollBack(id, mia, { reason, confirms: asked.rollBack!.at })
    expect(overlay).toMatchObject({
      state: 'failed',
      inForce: true,
      failedBecause: /taking it out changed something else/,
    })
    expect(overlay.rolledBack).toBeUndefined()
    expect(room.sets.at(-1)!.version).toBe(applied.version)
  })

  test('what nobody can see to forbid anything is failed', async () => {
    room = await OverlayRoom.open()
    const policy = `forbid (${me}, action == Action::"sql:read", resource in Connection::"orders") when { context.command.kind == "never" };`
    expect(await room.overlays.apply(await proposed({ policy }), max, { reason })).toMatchObject({
      state: 'failed',
      failedBecause: /nothing that was asked would be refused/,
    })
  })

  test('a hold that is there is as before', async () => {
    room = await OverlayRoom.open(`permit (principal, action, resource);
      @hold("dba") forbid (principal, action == Action::"sql:read", resource) unless { context has approval };`)
    const overlay = await room.overlays.apply(await proposed(), max, { reason })
    expect(overlay.state).toBe('verified')
    expect(overlay.probes.some(({ before, got }) => before === 'hold' && got === 'hold')).toBe(true)
  })
})

test('several are in force in the order of their numbers, whichever was applied first', async () => {
  room = await OverlayRoom.open()
  const [one, two, three] = [await proposed(), await proposed(), await proposed()]
  for (const id of [three, one, two]) await room.overlays.apply(id!, max, { reason })
  expect(room.overlays.texts().map(({ file }) => file)).toEqual([one, two, three].map((id) => `overlay:${id}.cedar`))
  expect((await room.overlays.list({ limit: 2 })).items.map(({ number }) => number)).toEqual([3, 2])
})

test('applied by two at once it is applied once', async () => {
  room = await OverlayRoom.open()
  const id = await proposed()
  const both = await Promise.allSettled([
    room.overlays.apply(id, max, { reason }),
    room.overlays.apply(id, mia, { reason }),
  ])
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  expect(room.sets).toHaveLength(2)
})

test('of a rule: who asks for access by it is refused, and nothing else changes', async () => {
  room = await OverlayRoom.open(`permit (principal, action in Action::"sql", resource);
    @id("ask") permit (principal in Group::"ci", action == Action::"access:request", resource);`)
  const policy = `forbid (principal in Group::"ci", action == Action::"access:request", resource == Connection::"orders");`
  const item = await room.item({ kind: 'rule', name: 'ask' })
  const wider = policy.replace('in Group::"ci"', 'in Group::"others"')
  expect(await room.propose({ policy: wider, agent: undefined, item })).toBe('not-supported')
  const made = await room.propose({ policy, agent: undefined, item, kind: 'revoke' })
  if (made === 'not-supported') throw new Error(made)
  const overlay = await room.overlays.apply(made.id, max, { reason })
  expect(overlay).toMatchObject({ state: 'verified', inForce: true })
  expect(overlay.probes.some(({ expect: said, action }) => said === 'deny' && action === 'access:request')).toBe(true)
  expect(await room.overlays.get(made.id)).toMatchObject({ notes: [/It is about a rule/] })
})

test('what was applied is exported as it stands, however long its chains are, under annotations of the export', async () => {
  room = await OverlayRoom.open()
  const chain = Array.from({ length: 200 }, (_, n) => `resource == Table::"orders/public.t${n}"`).join(' || ')
  const policy = `@id ("] evil") @reason("\\"; permit (principal, action, resource); \\"")
forbid (${me}, action == Action::"sql:read", resource in Connection::"orders") when { ${chain} };
forbid (${me}, action == Action::"sql:ddl", resource in Connection::"orders");`
  const id = await proposed({ policy, title: 'Less\npermit (principal, action, resource);' })
  await room.overlays.apply(id, max, { reason })
  const { files, overlays } = await room.overlays.exported()
  expect(overlays).toEqual([id])
  const loaded = loadPolicyTexts(files.map(({ file, text }) => ({ file, text })))
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  expect(loaded.policies.list.map((one) => [one.id, one.effect])).toEqual([
    [`review-${id}-1`, 'forbid'],
    [`review-${id}-2`, 'forbid'],
  ])
  // Put into the folder it has every policy of the overlay.
  room.sets.push(loadedWith(room.sets.at(-1)!, files))
  expect((await room.overlays.exported()).redundant).toEqual([id])
})

function loadedWith({ texts }: Policies, files: readonly { file: string; text: string }[]): Policies {
  const loaded = loadPolicyTexts([...files, ...texts])
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.policies
}
