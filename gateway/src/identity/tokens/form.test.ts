import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ACCESS_TOKEN, type ExchangeRequest, readExchange, readForm, TOKEN_EXCHANGE } from './form.ts'
import { OAuthError } from './oauth-error.ts'

const JWT = 'urn:ietf:params:oauth:token-type:jwt'
const whole = { grant_type: TOKEN_EXCHANGE, subject_token: 's.s.s', subject_token_type: JWT, audience: 'orders' }

function read(fields: Record<string, string | undefined>): ExchangeRequest {
  const given = Object.entries({ ...whole, ...fields }).filter((entry) => entry[1] !== undefined) as [string, string][]
  return readExchange(readForm(new URLSearchParams(given).toString()))
}

/** The error that something is refused with. */
function refusal(action: () => unknown): OAuthError {
  try {
    action()
  } catch (error) {
    if (error instanceof OAuthError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('a request of the token endpoint', () => {
  it('is read whole', () => {
    const purpose = 'clean up: äöü & 100 %'
    const more = { actor_token: 'a', actor_token_type: ACCESS_TOKEN, resource: 'postgres://gw/orders', purpose }
    expect(
      read({ ...more, requested_token_lifetime: '60', grant: 'gr_1', requested_token_type: ACCESS_TOKEN }),
    ).toEqual({
      subject: { token: 's.s.s', type: 'jwt' },
      actor: { token: 'a', type: 'access_token' },
      audience: 'orders',
      resource: 'postgres://gw/orders',
      purpose,
      lifetime: 60,
      grant: 'gr_1',
    })
  })

  it.each([
    ['urn:ietf:params:oauth:token-type:jwt', 'jwt'],
    ['urn:ietf:params:oauth:token-type:access_token', 'access_token'],
    ['urn:ietf:params:oauth:token-type:id_token', 'id_token'],
    ['urn:ietf:params:oauth:token-type:saml2', 'saml2'],
  ])('takes %s', (urn, type) => {
    expect(read({ subject_token_type: urn }).subject.type).toBe(type)
  })

  it.each<[what: string, fields: Record<string, string | undefined>, code: string]>([
    ['no grant type', { grant_type: undefined }, 'invalid_request'],
    ['an empty grant type', { grant_type: '' }, 'invalid_request'],
    ['another grant type', { grant_type: 'client_credentials' }, 'unsupported_grant_type'],
    ['no subject token', { subject_token: undefined }, 'invalid_request'],
    ['an empty subject token', { subject_token: '' }, 'invalid_request'],
    ['no type of it', { subject_token_type: undefined }, 'invalid_request'],
    ['a type that nobody knows', { subject_token_type: 'urn:ietf:params:oauth:token-type:saml1' }, 'invalid_request'],
    ['a type that every object knows', { subject_token_type: 'constructor' }, 'invalid_request'],
    ['an actor without a type', { actor_token: 'a' }, 'invalid_request'],
    ['a type without an actor', { actor_token_type: JWT }, 'invalid_request'],
    ['no target', { audience: undefined }, 'invalid_request'],
    ['another type asked for', { requested_token_type: JWT }, 'invalid_request'],
    ['no time at all', { requested_token_lifetime: '0' }, 'invalid_request'],
    ['time gone by', { requested_token_lifetime: '-5' }, 'invalid_request'],
    ['half a second', { requested_token_lifetime: '0.5' }, 'invalid_request'],
    ['time in words', { requested_token_lifetime: '15m' }, 'invalid_request'],
    ['time without end', { requested_token_lifetime: '1e99' }, 'invalid_request'],
    ['a purpose of two lines', { purpose: 'one\ntwo' }, 'invalid_request'],
    ['a purpose that turns round', { purpose: 'see \u202e this' }, 'invalid_request'],
    ['a purpose too long', { purpose: 'x'.repeat(2001) }, 'invalid_request'],
    ['a grant that can be none', { grant: "gr_1' or 1" }, 'invalid_request'],
  ])('is refused with %s', (_what, fields, code) => {
    const { code: told, status, message } = refusal(() => read(fields))
    expect({ told, status }).toEqual({ told: code, status: 400 })
    // RFC 6749, 5.2: what a description may be made of.
    expect(message).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
  })
})

describe('a form', () => {
  it.each([
    ['twice the same', 'audience=orders&audience=orders'],
    ['twice, once empty', 'audience=&audience=orders'],
    ['twice, once written otherwise', 'audience=orders&%61udience=other'],
    ['twice one that nobody knows', 'x=1&x=2'],
    ['bytes that are no UTF-8', 'audience=%ff'],
    ['half an escape', 'audience=%4'],
    ['more than anybody needs', Array.from({ length: 41 }, (_, i) => `p${i}=1`).join('&')],
  ])('is refused: %s', (_what, body) => {
    expect(refusal(() => readForm(body)).code).toBe('invalid_request')
  })

  it('is read as URLSearchParams writes it, whatever is in it', () => {
    const fields = fc.uniqueArray(
      fc.tuple(fc.string({ unit: 'binary', minLength: 1, maxLength: 8 }), fc.string({ unit: 'binary', maxLength: 20 })),
      {
        selector: ([name]) => name,
        maxLength: 6,
      },
    )
    fc.assert(
      fc.property(fields, (pairs) => {
        expect([...readForm(new URLSearchParams(pairs).toString())]).toEqual(pairs.filter(([, value]) => value !== ''))
      }),
      { seed: 8693, numRuns: 50 },
    )
  })

  it('never fails but with an error that can be told', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (body) => {
        try {
          readExchange(readForm(body))
        } catch (error) {
          expect(error).toBeInstanceOf(OAuthError)
        }
      }),
      { seed: 6749, numRuns: 300 },
    )
  })
})
