import type { PolicyCheck, PolicyText } from '@countersign/contract/policies'
import { loadPolicyTexts } from '../policy.ts'
import { TESTS } from '../tests.ts'
import { runTests } from '../tests-run.ts'

/**
 * All that is known of a set without its past: problems, as the gateway would refuse them, warnings, and its tests. Takes as long as
 * the set is large: for a thread or process of its own.
 * @param files `*.cedar` and `*.test.yaml`
 * @param overlays of reviews, which come behind the files as they would in force
 */
export function checkPolicies(files: readonly PolicyText[], overlays: readonly PolicyText[] = []): PolicyCheck {
  const sorted = inOrder(files)
  const loaded = loadPolicyTexts([...sorted.filter(({ file }) => file.endsWith('.cedar')), ...overlays], {
    remembered: 1000,
    strict: true,
  })
  if (!loaded.ok) return { ok: false, problems: once(loaded.problems), warnings: [], tests: [] }
  const tests = runTests(
    loaded.policies,
    sorted.filter(({ file }) => file.endsWith(TESTS)),
  )
  return {
    ok: tests.problems.length === 0 && tests.results.every(({ ok }) => ok),
    version: loaded.policies.version,
    problems: tests.problems,
    warnings: once(loaded.warnings),
    tests: tests.results,
  }
}

/** As a folder is read. */
export const inOrder = (files: readonly PolicyText[]): PolicyText[] =>
  [...files].sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0))

type PolicyFinding = PolicyCheck['problems'][number]

/** The validator says of a policy for all actions the same for each: once is enough. */
function once(findings: readonly PolicyFinding[]): PolicyFinding[] {
  const alike = Map.groupBy(findings, ({ file, line, message }) => `${file}:${line}: ${message.replaceAll(ACTION, '')}`)
  return [...alike.values()].map((some) => {
    const [first] = some.sort((a, b) => (a.message < b.message ? -1 : 1)) as [PolicyFinding]
    return some.length === 1
      ? first
      : { ...first, message: `${first.message} (and for ${some.length - 1} other actions)` }
  })
}
const ACTION = /\bfor Action::"[^"]*"/g
