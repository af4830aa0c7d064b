import type { PolicyTestResult } from '@countersign/contract/policies'
import { type Judgement, judge } from '../gate/judge.ts'
import type { PolicyProblem } from './load.ts'
import type { Policies } from './policy.ts'
import { type PolicyTest, readTests, TESTS } from './tests.ts'

/** So many are run of one set: whoever writes a draft must not make the gateway work for hours. */
const MOST = 5000

/**
 * Runs all tests among files against a set of policies: each command is decided as the gate decides it.
 * @returns what each said, and what is wrong with the files of tests themselves
 */
export function runTests(
  policies: Policies,
  files: readonly { file: string; text: string }[],
): { results: PolicyTestResult[]; problems: PolicyProblem[] } {
  const problems: PolicyProblem[] = []
  const results: PolicyTestResult[] = []
  for (const { file, text } of files) {
    if (!file.endsWith(TESTS)) continue
    const read = readTests(file, text)
    problems.push(...read.problems)
    const room = MOST - results.length
    if (read.tests.length > room)
      problems.push({
        file,
        line: 0,
        message: `there are more than ${MOST} tests`,
        mend: 'split them into several sets',
      })
    results.push(...read.tests.slice(0, room).map((test) => ran(policies, test)))
  }
  return { results, problems }
}

function ran(policies: Policies, test: PolicyTest): PolicyTestResult {
  const { file, line, name, command, time, approval } = test
  const judgement = judge(policies, command, time, approval)
  const differing = differences(test, judgement)
  return {
    file,
    line,
    name,
    ok: differing.length === 0,
    expected: [test.expect, ...differing.map(({ expected }) => expected)].filter((words) => words !== '').join(', '),
    got: `${judgement.outcome}${judgement.outcome === 'allow' ? '' : `: ${judgement.reason}`}`,
    policies: judgement.policies,
  }
}

/** What of the judgement is not as expected, beside the outcome, in words. */
function differences(test: PolicyTest, judgement: Judgement): { expected: string }[] {
  const found: { expected: string }[] = []
  const { policies, groups, reason } = test
  if (judgement.outcome !== test.expect) found.push({ expected: '' })
  if (policies && !sameNames(policies, judgement.policies))
    found.push({ expected: `by ${policies.join(', ') || 'no policy'}` })
  if (groups) {
    const asked = judgement.outcome === 'hold' ? judgement.requirements.flatMap((one) => one.groups) : []
    if (!sameNames(groups, asked)) found.push({ expected: `asking ${groups.join(', ') || 'nobody'}` })
  }
  if (reason !== undefined && (judgement.outcome === 'allow' || !judgement.reason.includes(reason)))
    found.push({ expected: `because of “${reason}”` })
  return found
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  const [one, other] = [new Set(a), new Set(b)]
  return one.size === other.size && [...one].every((name) => other.has(name))
}
