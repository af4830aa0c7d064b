import { beforeEach, describe, expect, it } from 'vitest'
import { type Asker, askerOf, Throttle, throttleBounds } from './throttle.ts'

let now: number
let throttle: Throttle
beforeEach(() => {
  now = 0
  throttle = new Throttle(throttleBounds, () => now)
})

const asker = (claimed: string, token = `${claimed}’s`, place = '10.0.0.1'): Asker => ({
  place,
  claimed,
  digest: token,
})
/** Presents wrong tokens that many times, as fast as it may. @returns how often it was looked at */
function guess(times: number, who: (n: number) => Asker): number {
  let looked = 0
  for (let n = 0; n < times; n++) {
    if (throttle.admit(who(n)) > 0) continue
    looked++
    throttle.refused(who(n))
  }
  return looked
}

describe('refusals', () => {
  it('of one identity lead to a growing delay, a minute at most', () => {
    const delays: number[] = []
    for (let n = 0; n < 14; n++) {
      const wait = throttle.admit(asker('mallory', `t${n}`))
      if (wait > 0) now += wait * 1000
      delays.push(wait)
      throttle.refused(asker('mallory', `t${n}`))
    }
    expect(delays).toEqual([0, 0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60])
  })

  it('are forgotten after a while', () => {
    guess(20, (n) => asker('mallory', `t${n}`))
    now += throttleBounds.forget
    expect(guess(20, (n) => asker('mallory', `t${n}`))).toBe(throttleBounds.free.claimed + 1)
  })

  it('of made-up identities slow their place down, and no other', () => {
    expect(guess(1000, (n) => asker(`m${n}`))).toBe(throttleBounds.free.address + 1)
    expect(throttle.admit(asker('newcomer'))).toBeGreaterThan(0)
    expect(throttle.admit(asker('newcomer', 'x', '10.0.0.2'))).toBe(0)
  })

  it('of one that is broken are not its neighbours’', () => {
    guess(1000, (n) => asker('broken', `t${n}`))
    expect(throttle.admit(asker('newcomer'))).toBe(0)
  })

  it('of strangers don’t keep out who was known there, nor a token that was good', () => {
    expect(throttle.admit(asker('ci'))).toBe(0)
    expect(throttle.known(asker('ci'), 'ci')).toBe(0)
    guess(1000, (n) => asker(`m${n}`))
    expect(throttle.admit(asker('ci', 'a new token'))).toBe(0)
    // They say that they are it: its new tokens wait with them, the one that was good doesn't.
    guess(1000, (n) => asker('ci', `forged ${n}`))
    expect(throttle.admit(asker('ci', 'another new token'))).toBeGreaterThan(0)
    expect(throttle.admit(asker('ci'))).toBe(0)
    now += 60_000
    expect(throttle.admit(asker('ci', 'another new token'))).toBe(0)
  })

  it('of a token that was good once count like any other', () => {
    throttle.known(asker('ci'), 'ci')
    throttle.refused(asker('ci'))
    guess(20, () => asker('ci'))
    expect(throttle.admit(asker('ci'))).toBeGreaterThan(0)
  })
})

describe('what is asked for', () => {
  it('by unknown ones of one place is bounded', () => {
    const { perSecond, burst } = throttleBounds.address
    const admitted = () =>
      Array.from({ length: 1000 }, (_, n) => throttle.admit(asker(`m${n}`))).filter((wait) => wait === 0)
    expect(admitted()).toHaveLength(burst)
    now += 1000
    expect(admitted()).toHaveLength(perSecond)
    expect(throttle.admit(asker('ci', 'x', '10.0.0.2'))).toBe(0)
  })

  it('by one agent is bounded, wherever it asks from', () => {
    const waits = Array.from({ length: 200 }, (_, n) => throttle.known(asker('ci', `t${n}`, `10.0.0.${n}`), 'ci'))
    expect(waits.filter((wait) => wait === 0)).toHaveLength(throttleBounds.agent.burst)
    expect(throttle.known(asker('other'), 'other')).toBe(0)
  })

  it('in vain is bounded more', () => {
    let denied = 0
    while (throttle.known(asker('ci'), 'ci') === 0) {
      throttle.denied('ci')
      denied++
    }
    expect(denied).toBe(throttleBounds.denied.burst)
    now += 2000
    expect(throttle.known(asker('ci'), 'ci')).toBe(0)
  })
})

it('keeps little in mind, whoever comes', () => {
  throttle = new Throttle({ ...throttleBounds, most: 100 }, () => now)
  for (let n = 0; n < 5000; n++) {
    const one = asker(`m${n}`, `t${n}`, `10.${n}`)
    throttle.admit(one)
    if (n % 2) throttle.refused(one)
    else throttle.known(one, `a${n}`)
    throttle.denied(`a${n}`)
  }
  expect(throttle.size).toBeLessThanOrEqual(700)
})

describe('who asks', () => {
  const jwt = (claims: object) => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`
  const of = (token: string, type: 'jwt' | 'saml2' = 'jwt', address = '10.0.0.1') => askerOf(address, { token, type })

  it('is told apart by what a JWT says of itself', () => {
    const [a, b] = [of(jwt({ iss: 'i', sub: 'a', exp: 1 })), of(jwt({ iss: 'i', sub: 'a', exp: 2 }))]
    expect(a.claimed).toBe(b.claimed)
    expect(a.digest).not.toBe(b.digest)
    expect(of(jwt({ iss: 'j', sub: 'a' })).claimed).not.toBe(a.claimed)
    expect(of(jwt({ iss: 'i', sub: 'u', act: { sub: 'a' } })).claimed).toBe(a.claimed)
  })

  it.each([
    '',
    '..',
    'opaque',
    'a.!!.c',
    `a.${Buffer.from('null').toString('base64url')}.c`,
    `a.${'x'.repeat(20_000)}.c`,
  ])('is the token itself where it says nothing (%#)', (token) => {
    expect(of(token).claimed).toBe(of(token).digest)
  })

  it('is one place for all addresses of an IPv6 network', () => {
    expect(of('t', 'jwt', '2001:db8::1').place).toBe(of('t', 'jwt', '2001:db8::2').place)
  })
})
