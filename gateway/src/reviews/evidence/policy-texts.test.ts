import { expect, test } from 'vitest'
import { overlayFile } from '../../policy/overlay-text.ts'
import { loadPolicyTexts } from '../../policy/policy.ts'
import { policyTexts } from './policy-texts.ts'

test('each policy is found by its id, where several stand on a line, in comments, and in overlays', () => {
  const text = `// permit (principal, action, resource);
@id("one") @reason("; // not the end") permit (principal in Group::"a", action, resource); permit (principal, action, resource) when { principal in Group::"b" };
  @id("__proto__")
  forbid (principal == Agent::"i#x", action == Action::"sql:ddl", resource);`
  const overlay = 'forbid (principal == Agent::"i#x", action, resource in Connection::"orders");'
  const loaded = loadPolicyTexts([
    { file: 'a.cedar', text },
    { file: overlayFile('ov_1'), text: `${overlay}\n${overlay}` },
  ])
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const found = policyTexts(loaded.policies)
  expect([...found.keys()]).toEqual(['one', 'a.cedar#2', '__proto__', 'overlay/ov_1#1', 'overlay/ov_1#2'])
  expect(found.get('one')).toMatchObject({ effect: 'permit', reason: '; // not the end', groups: new Set(['a']) })
  expect(found.get('a.cedar#2')).toMatchObject({ groups: new Set(['b']), file: 'a.cedar' })
  expect(found.get('a.cedar#2')!.text).toMatch(/^permit \(principal, action, resource\) when/)
  expect(found.get('__proto__')).toMatchObject({ effect: 'forbid', groups: new Set() })
  expect(found.get('overlay/ov_1#2')!.text).toBe(overlay)
  expect(policyTexts(loaded.policies)).toBe(found)
})
