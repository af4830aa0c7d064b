import { expect, test } from 'vitest'
import type { Duty } from '../identity/principal.ts'
import { bot } from '../policy/testing/policies.ts'
import { inPlaceOf, mayDecide } from './may-decide.ts'
import { person, requirement } from './testing/approvals.ts'

const requirements = [
  { ...requirement('a', ['oncall-dba', 'dba']), approvedBy: [] },
  { ...requirement('b', ['sre']), approvedBy: [], escalation: [{ after: '3m', groups: ['leads'] }] },
]
const ada = person('Ada', ['oncall-dba'], { email: 'Ada@Example.com' })
const bea = person('Bea', ['others'])
const duty = (from: typeof ada, ...groups: string[]): Duty => ({ delegation: `dg_${from.subject}`, from, groups })
const may = (who: typeof ada, agent: Partial<typeof bot> = {}, duties: Duty[] = [], sponsors: string[] = []) =>
  mayDecide(who, { identity: { ...bot, ...agent }, requirements }, { duties, sponsorsOf: () => sponsors })

test('an approver of any group that is asked may', () => {
  expect(may(ada)).toBe(true)
  expect(may(person('Cy', ['sre']))).toBe(true)
  expect(may(person('Di', ['others', 'dba']))).toBe(true)
})

test('nobody else may', () => {
  expect(may(person('Di', ['others']))).toMatch(/none of the groups.*oncall-dba, dba, sre/)
  expect(may(person('Di', []))).toMatch(/none of the groups/)
  expect(may({ ...ada, roles: [] })).toMatch(/only approvers/)
  expect(may({ ...ada, roles: ['admin', 'reviewer', 'auditor'] })).toMatch(/only approvers/)
})

test('who is asked later may once it has come so far', () => {
  const lead = person('Lea', ['leads'])
  expect(may(lead)).toMatch(/none of the groups/)
  const escalated = [requirements[0]!, { ...requirements[1]!, escalatedTo: ['leads'] }]
  const standing = { duties: [], sponsorsOf: () => [] }
  expect(mayDecide(lead, { identity: bot, requirements: escalated }, standing)).toBe(true)
})

test('nobody decides their own, whatever groups they are in', () => {
  expect(may(ada, { owner: 'ada' })).toMatch(/nobody decides their own/)
  expect(may(ada, {}, [], ['ada@example.com'])).toMatch(/nobody decides their own/)
})

test.each<[what: string, agent: Partial<typeof bot>, duties: Duty[], answer: true | RegExp]>([
  ['may in place of one who is asked', {}, [duty(ada, 'oncall-dba')], true],
  ['may not by a group that is not asked', {}, [duty(ada, 'hr')], /none of the groups/],
  ['may not what the one who is away could not', { owner: 'ada' }, [duty(ada, 'oncall-dba')], /you stand in for Ada/],
  [
    'may not by the e-mail of the one who is away',
    { owner: 'ada@example.com' },
    [duty(ada, 'dba')],
    /stand in for Ada/,
  ],
  ['may not what is their own', { owner: 'bea' }, [duty(ada, 'oncall-dba')], /nobody decides their own/],
  ['may where one of two could', { owner: 'ada' }, [duty(ada, 'dba'), duty(person('Cy', ['sre']), 'sre')], true],
])('a stand-in %s', (_, agent, duties, answer) => {
  const may_ = may(bea, agent, duties)
  if (answer === true) expect(may_).toBe(true)
  else expect(may_).toMatch(answer)
})

test('a stand-in without the role of an approver may not', () => {
  expect(may({ ...bea, roles: ['reviewer'] }, {}, [duty(ada, 'oncall-dba')])).toMatch(/only approvers/)
})

test('one decides in place of others only where one isn’t asked oneself, and they could', () => {
  const of = (who: typeof ada, duties: Duty[], agent: Partial<typeof bot> = {}) =>
    inPlaceOf(who, { identity: { ...bot, ...agent }, requirements }, { duties, sponsorsOf: () => [] }).map(
      ({ from, groups }) => [from.name, groups],
    )
  const cy = person('Cy', ['sre', 'leads'])
  expect(of(bea, [duty(ada, 'oncall-dba', 'hr'), duty(cy, 'sre')])).toEqual([
    ['Ada', ['oncall-dba']],
    ['Cy', ['sre']],
  ])
  expect(of(ada, [duty(cy, 'sre', 'dba')])).toEqual([['Cy', ['sre']]])
  expect(of(bea, [duty(ada, 'oncall-dba'), duty(cy, 'leads')], { owner: 'ada' })).toEqual([['Cy', ['leads']]])
  expect(of(bea, [duty(ada, 'dba'), duty(ada, 'oncall-dba')])).toEqual([['Ada', ['dba', 'oncall-dba']]])
})
