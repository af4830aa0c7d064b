import { expect, test } from 'vitest'
import { couldPermit } from './scope.ts'

test.each<[could: boolean, text: string]>([
  [true, 'permit (principal, action, resource);'],
  [true, 'permit (principal, action == Action::"access:request", resource);'],
  [true, 'permit (principal in Group::"ci", action == Action::"access:request", resource in Connection::"orders");'],
  [true, 'permit (principal, action in [Action::"sql", Action::"access:request"], resource == Connection::"orders");'],
  [true, 'permit (principal, action in Action::"access:request", resource is Connection);'],
  [true, 'permit (principal, action, resource is Connection in Connection::"orders");'],
  [true, '// says when\npermit (principal, action, resource) when { context.time.hour < 3 };'],
  [true, 'forbid (principal, action, resource); permit (principal, action, resource);'],
  [false, ''],
  [false, 'forbid (principal, action, resource);'],
  [false, 'permit (principal, action in Action::"sql", resource);'],
  [false, 'permit (principal, action in [Action::"sql", Action::"ssh"], resource);'],
  [false, 'permit (principal, action == Action::"access:request", resource in Connection::"files");'],
  [false, 'permit (principal, action == Action::"access:request", resource is Table);'],
  [false, 'permit (principal, action, resource is Connection in Connection::"files");'],
  [false, 'permit (principal, action, resource == Table::"orders");'],
])('%s: %s', (could, text) => {
  expect(couldPermit({ texts: [{ file: 'a.cedar', text }] }, 'access:request', 'orders')).toBe(could)
  expect(
    couldPermit(
      {
        texts: [
          { file: 'a', text: '' },
          { file: 'b', text },
        ],
      },
      'access:request',
      'orders',
    ),
  ).toBe(could)
})
