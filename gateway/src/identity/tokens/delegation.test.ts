import { describe, expect, it } from 'vitest'
import type { AgentPrincipal, PersonPrincipal } from '../principal.ts'
import { delegated, LONGEST_CHAIN } from './delegation.ts'

const issuer = 'https://idp.example.com'
const at = (minutes: number) => new Date(Date.UTC(2026, 10, 21, 12, minutes))

function agent(subject: string, more: Partial<AgentPrincipal> & { mayAct?: string } = {}): AgentPrincipal {
  const who = { id: `${issuer}#${subject}`, issuer, subject, name: subject, groups: [`of-${subject}`] }
  return { kind: 'agent', ...who, expiresAt: at(30), ...more }
}
function person(subject: string, more: { mayAct?: string; expiresAt?: Date } = {}): PersonPrincipal {
  const who = {
    id: `${issuer}#${subject}`,
    issuer,
    subject,
    name: subject,
    groups: ['people'],
    roles: ['admin' as const],
  }
  return { kind: 'person', ...who, expiresAt: at(30), ...more }
}

describe('who is to have the token', () => {
  it('is the agent of the subject token, with what that says of it', () => {
    const own = agent('executor', { onBehalfOf: 'ada', chain: ['planner'], owner: 'ada', mayAct: `${issuer}#other` })
    const { mayAct: _, ...expected } = own as AgentPrincipal & { mayAct?: string }
    expect(delegated(own)).toEqual(expected)
  })

  it('is the actor, with its own groups, on behalf of a person, for as long as both tokens last', () => {
    expect(delegated(person('ada', { expiresAt: at(10) }), agent('executor'))).toEqual(
      agent('executor', { onBehalfOf: 'ada', expiresAt: at(10) }),
    )
    expect(delegated(person('ada'), agent('executor', { expiresAt: at(5) })).expiresAt).toEqual(at(5))
  })

  it('is the actor on behalf of an agent', () => {
    expect(delegated(agent('planner'), agent('executor'))).toEqual(agent('executor', { onBehalfOf: 'planner' }))
  })

  it('is the actor on behalf of the one that the subject acts for; the subject is before it in the chain', () => {
    const planner = agent('planner', { onBehalfOf: 'ada', chain: ['scheduler'] })
    const expected = { onBehalfOf: 'ada', chain: ['planner', 'scheduler'] }
    expect(delegated(planner, agent('executor'))).toEqual(agent('executor', expected))
  })

  it('keeps the actor’s chain', () => {
    const executor = agent('executor', { onBehalfOf: 'ada', chain: ['broker'] })
    expect(delegated(person('ada'), executor)).toMatchObject({ onBehalfOf: 'ada', chain: ['broker'] })
  })

  it('is the agent itself where both tokens are its own', () => {
    const forAda = agent('executor', { onBehalfOf: 'ada' })
    expect(delegated(agent('executor'), agent('executor'))).toEqual(agent('executor'))
    expect(delegated(forAda, agent('executor', { expiresAt: at(1) }))).toEqual({ ...forAda, expiresAt: at(1) })
  })

  it('is whoever may_act names', () => {
    const executor = agent('executor')
    expect(delegated(person('ada', { mayAct: executor.id }), executor).subject).toBe('executor')
  })
})

describe('nobody', () => {
  const executor = agent('executor')
  it.each<
    [
      what: string,
      subject: AgentPrincipal | PersonPrincipal,
      actor: AgentPrincipal | PersonPrincipal | undefined,
      words: RegExp,
    ]
  >([
    ['a person alone', person('ada'), undefined, /a person's/],
    ['a person who acts', agent('planner'), person('ada'), /people act in no session/],
    ['a person who acts for themselves', person('ada'), person('ada'), /people act/],
    ['another one than may_act names', person('ada', { mayAct: `${issuer}#other` }), executor, /who may act/],
    [
      'the same subject of another issuer',
      person('ada', { mayAct: 'https://x.example#executor' }),
      executor,
      /who may act/,
    ],
    ['anyone, where may_act names nobody', person('ada', { mayAct: '' }), executor, /who may act/],
    [
      'an actor that acts for another',
      person('ada'),
      agent('executor', { onBehalfOf: 'ben' }),
      /somebody else already/,
    ],
    [
      'an actor for ben with its own token',
      agent('executor'),
      agent('executor', { onBehalfOf: 'ben' }),
      /somebody else already/,
    ],
    [
      'a chain too long',
      agent('planner', { onBehalfOf: 'ada', chain: Array(LONGEST_CHAIN).fill('x') }),
      executor,
      /too long/,
    ],
  ])('has a token for %s', (_what, subject, actor, words) => {
    expect(() => delegated(subject, actor)).toThrow(
      expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(words) }),
    )
  })
})
