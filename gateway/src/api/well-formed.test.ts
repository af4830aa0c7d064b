import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Caller, startWorld, type World } from './testing/world.ts'
import { hasBrokenText } from './well-formed.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const HALF = '\\ud800'

describe('half a character', () => {
  const step = (title: string) => `{"title":"${title}","connection":"nowhere","actions":["sql:read"],"duration":"10m"}`
  // What anybody could have put into the store so that it is not what its entry says.
  test.each<[string, Caller, string, string]>([
    ['in the title of a plan', 'agent', '/v1/plans', `{"title":"a${HALF}","purpose":"p","steps":[${step('b')}]}`],
    ['in the title of a step', 'agent', '/v1/plans', `{"title":"a","purpose":"p","steps":[${step(`b${HALF}`)}]}`],
    ['in a reason', 'max', '/v1/connections/orders/freeze', `{"reason":"a${HALF}"}`],
    ['in whom somebody acts for', 'max', '/v1/grants', `{"onBehalfOf":"${HALF}"}`],
    ['as a member’s name', 'agent', '/v1/plans', `{"${HALF}":1}`],
    ['as NUL', 'max', '/v1/freeze', '{"reason":"a\\u0000"}'],
  ])('%s is refused, and nothing is kept of it', async (_what, caller, path, body) => {
    const before = await kept()
    const answer = await fetch(`${world.url}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${await world.token(caller)}`, 'content-type': 'application/json' },
      body,
    })
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ detail: expect.stringMatching(/characters in it that no text has/) })
    expect(await kept()).toEqual(before)
  })

  test.each([
    [{ a: [{ b: '\udc00x' }] }, true],
    [['😀', { 'naïve 😀': null }, 1, true], false],
    [null, false],
    [{}, false],
    [[undefined, [[['\ud83d']]]], true],
  ])('is found in %j: %s', (value, found) => {
    expect(hasBrokenText(value)).toBe(found)
  })

  async function kept() {
    const { db } = world.store
    const [grants, freezes] = await Promise.all([
      db.selectFrom('grants').select('id').execute(),
      db.selectFrom('freezes').select('id').execute(),
    ])
    return { grants, freezes }
  }
})
