import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { command, minute, person, type World, world } from '../approvals/testing/approvals.ts'
import type { Policies } from '../policy/policy.ts'
import { policiesOf } from '../policy/testing/policies.ts'
import type { Gate, HoldNotice, Verdict } from './command.ts'
import { createGate } from './gate.ts'

const held = (annotations: string, unless = 'context has approval') =>
  policiesOf(`permit (principal, action, resource);
@id("h") @hold("oncall-dba") ${annotations}
forbid (principal, action == Action::"sql:write", resource) unless { ${unless} };`)

let w: World
let gate: Gate
let policies: Policies
beforeEach(async () => {
  w = await world()
  gate = createGate({ policies: () => policies, approvals: w.approvals, clock: () => w.clock.now() })
})
afterEach(async () => {
  await w[Symbol.asyncDispose]()
})

const lea = person('Lea', ['leads'])
const ivy = person('Ivy', ['incident-leads'])
const bea = person('Bea', ['elsewhere'])
const ada = person('Ada', ['oncall-dba'])

async function submitted(): Promise<{ verdict: Promise<Verdict>; id: string }> {
  let noticed: (notice: HoldNotice) => void = () => {}
  const notice = new Promise<HoldNotice>((resolve) => {
    noticed = resolve
  })
  const signal = new AbortController().signal
  const verdict = gate.submit(command(), { hold: 'wait', signal, onHeld: noticed, record() {} })
  return { verdict: Promise.resolve(verdict), id: (await notice).approval }
}
const approve = async (id: string, who: typeof lea, more: object = {}) => {
  const { digest } = (await w.approvals.get(id))!.command
  const decided = await w.approvals.decide(id, who, { verdict: 'approve', reason: 'it is needed', digest, ...more })
  expect(decided).toMatchObject({ ok: true })
}
const escalate = async () => {
  w.clock.advance(3 * minute)
  await w.until(() => w.said.some(({ type }) => type === 'approval.escalated'))
}
const nobodyElse = (groups: string) => `context has approval && context.approval.groups.containsAll([${groups}])`

describe('a command runs by people who were asked later', () => {
  test.each<[what: string, annotations: string, unless: string | undefined, outcome: Verdict['outcome']]>([
    ['where the policy asks for them', '@escalate("3m: leads")', undefined, 'allow'],
    ['where it looks at who has approved', '@escalate("3m: leads")', nobodyElse('"leads"'), 'allow'],
    ['not where it insists on those of before', '@escalate("3m: leads")', nobodyElse('"oncall-dba"'), 'denied'],
  ])('%s', async (_, annotations, unless, outcome) => {
    policies = await held(annotations, unless)
    const { verdict, id } = await submitted()
    await escalate()
    await approve(id, lea)
    expect((await verdict).outcome).toBe(outcome)
  })

  test('not where policy has changed meanwhile and would not ask them: its own people are asked', async () => {
    policies = await held('@escalate("3m: leads")')
    const { verdict, id } = await submitted()
    await escalate()
    policies = await held('')
    await approve(id, lea)
    await w.until(async () => (await w.approvals.get(id))!.state === 'pending')
    await approve(id, ada)
    expect((await verdict).outcome).toBe('allow')
  })

  test('again within the window that they chose', async () => {
    policies = await held('@escalate("3m: leads")')
    const { verdict, id } = await submitted()
    await escalate()
    await approve(id, lea, { window: '1h' })
    expect((await verdict).outcome).toBe('allow')
    const signal = new AbortController().signal
    expect(await gate.submit(command(), { hold: 'wait', signal, record() {} })).toMatchObject({
      outcome: 'allow',
      approval: { id, by: ['Lea'] },
    })
  })
})

test('by one who decides alone in an emergency, whatever quorum and groups are asked', async () => {
  w.config.break_glass = { groups: ['incident-leads'], max: minute, unreviewed: 3 }
  policies = await held('@quorum("9") @escalate("3m: leads")', nobodyElse('"oncall-dba"'))
  const { verdict, id } = await submitted()
  await approve(id, ivy, { breakGlass: true })
  expect(await verdict).toMatchObject({ outcome: 'allow', approval: { by: ['Ivy'], reason: 'it is needed' } })
})

test('by one who stands in for somebody who is away; Cedar is told their group', async () => {
  policies = await held('', nobodyElse('"oncall-dba"'))
  await w.seen(bea)
  const until = new Date(w.clock.now().getTime() + 60 * minute).toISOString()
  await w.approvals.delegations.begin(ada, { to: bea.id, until, reason: 'a holiday' })
  const { verdict, id } = await submitted()
  await approve(id, bea)
  expect((await verdict).outcome).toBe('allow')
})
