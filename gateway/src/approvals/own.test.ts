import { expect, test } from 'vitest'
import { bot } from '../policy/testing/policies.ts'
import { type Named, ownBecause, type Request } from './own.ts'

const PEOPLE = 'https://people.example.com'
const ada: Named = {
  id: `${PEOPLE}#ada`,
  issuer: PEOPLE,
  subject: 'ada',
  name: 'Ada Lovelace',
  email: 'Ada@Example.com',
}
/** As where subjects are numbers, and nothing else of a person is known but what they are called. */
const nameless: Named = { id: `${PEOPLE}#00u1`, issuer: PEOPLE, subject: '00u1', name: 'Ada Lovelace' }
type Claims = Partial<typeof bot> & { sponsors?: string[]; access?: Request['access'] }
const because = (person: Named, { sponsors = [], access, ...agent }: Claims) =>
  ownBecause(person, { identity: { ...bot, ...agent }, ...(access ? { access } : {}) }, (id) =>
    id === (agent.id ?? bot.id) ? sponsors : [],
  )

test.each<[what: string, claims: Claims]>([
  ['is the agent, by id', { id: ada.id }],
  ['is the agent, by id in other letters', { id: 'HTTPS://People.Example.com#ADA' }],
  ['is the agent, by its subject at the agents’ issuer', { subject: 'ada' }],
  ['is the agent, whose subject is an address', { subject: 'ada@example.com' }],
  ['is the agent, which is called by an address', { name: 'ada@EXAMPLE.com' }],
  ['owns it, by subject', { owner: 'ada' }],
  ['owns it, by id', { owner: ada.id }],
  ['owns it, by id in other letters', { owner: 'HTTPS://People.Example.com#ADA' }],
  ['owns it, by e-mail', { owner: 'ada@example.com' }],
  ['owns it, by e-mail as a URL', { owner: 'mailto:ada@example.com' }],
  ['owns it, by what stands before the @ of the e-mail', { owner: 'ADA' }],
  ['owns it, by name', { owner: 'ada lovelace' }],
  ['owns it, by name with blanks', { owner: ' Ada Lovelace ' }],
  ['owns it, by name in wide letters', { owner: 'Ａｄａ　Ｌｏｖｅｌａｃｅ' }],
  ['owns it, by a subject that the agents’ issuer qualifies by itself', { owner: `${bot.issuer}#ada` }],
  ['owns it, by an address that the agents’ issuer qualifies', { owner: `${bot.issuer}#ada@example.com` }],
  ['sponsors it, by id', { sponsors: [ada.id] }],
  ['sponsors it, by e-mail', { sponsors: ['Ada@example.com'] }],
  ['sponsors it beside others', { sponsors: ['bea@example.com', 'Bea', 'ada'] }],
  ['is who it acts for', { onBehalfOf: 'ada' }],
  ['is who it acts for, by id', { onBehalfOf: ada.id }],
  ['is an actor before it', { chain: ['planner', 'ada'] }],
  ['has asked for the access', { access: { requestedBy: { kind: 'person', id: ada.id, name: 'A' } } }],
  [
    'is the agent that has asked for the access',
    { access: { requestedBy: { kind: 'agent', id: 'https://agents.example.com#ada', name: 'x' } } },
  ],
  [
    'owns one of the agents that the access is for',
    {
      access: {
        requestedBy: { kind: 'agent', id: bot.id, name: 'planner' },
        agents: [{ ...bot, id: `${bot.issuer}#other`, subject: 'other', owner: 'ada' }],
      },
    },
  ],
])('one who %s has a request of their own', (_, claims) => expect(because(ada, claims)).toBeTypeOf('string'))

test('a sponsor of the planner that asked for others has a request of their own', () => {
  const planner = `${bot.issuer}#planner`
  const request = { identity: bot, access: { requestedBy: { kind: 'agent' as const, id: planner, name: 'planner' } } }
  expect(ownBecause(ada, request, (id) => (id === planner ? ['ada@example.com'] : []))).toMatch(/the agent that asked/)
  expect(ownBecause(ada, request, () => [])).toBeUndefined()
})

test.each<[what: string, claims: Claims]>([
  ['an agent that is called as they are', { name: 'Ada Lovelace' }],
  ['an agent that is called as their subject is', { name: 'ada' }],
  ['the same subject of another issuer of people, as owner', { owner: 'https://other.example.com#ada' }],
  ['the same subject of another issuer of people, as sponsor', { sponsors: ['https://other.example.com#ada'] }],
  ['another address, though it begins as theirs', { owner: 'ada@elsewhere.example' }],
  ['another person of the same issuer', { owner: `${PEOPLE}#bea`, sponsors: [`${PEOPLE}#bea`, 'bea@example.com'] }],
  [
    'somebody else of their name who asked',
    { access: { requestedBy: { kind: 'person', id: `${PEOPLE}#ada2`, name: 'Ada Lovelace' } } },
  ],
  ['claims that say nothing', { owner: '', onBehalfOf: ' ', sponsors: ['#', ''], chain: [] }],
])('%s is not theirs', (_, claims) => expect(because(ada, claims)).toBeUndefined())

test('where the name alone is alike, it is refused with what to do about it', () => {
  expect(because(nameless, { owner: 'Ada Lovelace' })).toMatch(/have them named there by e-mail or id/)
  expect(because(nameless, { sponsors: [`${PEOPLE}#00u2`] })).toBeUndefined()
  expect(because({ ...nameless, email: 'ada.l@example.com' }, { owner: 'ada@example.com' })).toBeUndefined()
})

test('who has no address is told by what stands before the @ of the claim', () => {
  expect(because({ ...nameless, subject: 'ada' }, { owner: 'ada@example.com' })).toBeTypeOf('string')
  expect(because(nameless, { owner: 'ada@example.com' })).toBeUndefined()
})
