import { expect, test } from 'vitest'
import { routeIn, routeOf } from './deep-links.ts'

test.each([
  ['countersign://approval/ap_7h2k', '/queue/ap_7h2k'],
  ['countersign://approval/ap_7h2k/', '/queue/ap_7h2k'],
  ['countersign://approval/', undefined],
  ['countersign://approval/..%2f..', undefined],
  ['countersign://approval/a/b', undefined],
  ['countersign://approval/a?decide=approve', undefined],
  ['countersign://approval/a#approve', undefined],
  ['countersign://settings/x', undefined],
  ['https://approval/ap_1', undefined],
  ['javascript:alert(1)', undefined],
  ['countersign:approval/ap_1', undefined],
  [`countersign://approval/${'a'.repeat(129)}`, undefined],
  ['not a link', undefined],
])('%s opens %s', (link, route) => {
  expect(routeOf(link)).toBe(route)
})

test('a link is found among a program’s arguments', () => {
  expect(routeIn(['/opt/countersign', '--no-sandbox', 'countersign://approval/ap_1'])).toBe('/queue/ap_1')
  expect(routeIn(['/opt/countersign', '--x=countersign://approval/ap_1'])).toBeUndefined()
})
