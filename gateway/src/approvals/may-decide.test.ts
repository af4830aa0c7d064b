import { expect, test } from 'vitest'
import { bot } from '../policy/testing/policies.ts'
import { mayDecide } from './may-decide.ts'
import { person, requirement } from './testing/approvals.ts'

const requirements = [
  { ...requirement('a', ['oncall-dba', 'dba']), approvedBy: [] },
  { ...requirement('b', ['sre']), approvedBy: [] },
]
const ada = person('Ada', ['oncall-dba'], { email: 'Ada@Example.com' })
const may = (who: typeof ada, agent: Partial<typeof bot> & { sponsor?: string } = {}) =>
  mayDecide(who, { identity: { ...bot, ...agent }, requirements })

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

const own: [name: string, agent: Partial<typeof bot> & { sponsor?: string }][] = [
  ['is the agent, by id', { id: ada.id }],
  ['is the agent, by subject', { subject: 'ada' }],
  ['is the agent, by name', { name: 'ADA' }],
  ['owns it, by subject', { owner: 'ada' }],
  ['owns it, by id', { owner: 'https://people.example.com#ada' }],
  ['owns it, by id in other letters', { owner: 'HTTPS://People.Example.com#ADA' }],
  ['owns it, by the same subject of another issuer', { owner: 'https://other.example.com#ada' }],
  ['owns it, by e-mail', { owner: 'ada@example.com' }],
  ['owns it, by e-mail as a URL', { owner: 'mailto:ada@example.com' }],
  ['owns it, by name with blanks', { owner: ' ada ' }],
  ['owns it, by name in wide letters', { owner: 'Ａｄａ' }],
  ['sponsors it', { sponsor: 'Ada@example.com' }],
  ['is who it acts for', { onBehalfOf: 'ada' }],
  ['is who it acts for, by id', { onBehalfOf: 'https://people.example.com#ada' }],
]
test.each(own)('one who %s may not', (_, agent) => {
  expect(may(ada, agent)).toMatch(/nobody decides their own/)
})

test('nothing in common is nothing in common: empty claims are no likeness', () => {
  expect(may({ ...ada, email: '' }, { owner: '', onBehalfOf: ' ', sponsor: '#' })).toBe(true)
})
