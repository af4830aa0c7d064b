import type { ItemEvidence } from '@countersign/contract/review'
import { quoted, uid } from './cedar.ts'
import { NoPolicyForRule, revokingRule } from './rules.ts'
import type { Subject } from './subject.ts'

/**
 * The policy that takes all access away from an agent on a connection: commands, what is revealed, and asking for more. Of
 * a rule: that anybody asks by it; that takes the item's evidence, which has its text.
 * @throws NoPolicyForRule
 */
export function revoking(subject: Subject, evidence?: ItemEvidence): string {
  if (subject.kind === 'rule') {
    if (!evidence) throw new NoPolicyForRule('The text of a rule is in its evidence.')
    return revokingRule(subject, evidence)
  }
  const { agent, connection } = subject
  const reason = quoted('Access review: access to this connection was revoked')
  // As Cedar's formatter writes them (its test): hundreds are made at once where a campaign is closed.
  return `@reason(${reason})
forbid (
  principal == ${uid('Agent', agent)},
  action,
  resource in ${uid('Connection', connection)}
);

@reason(${reason})
forbid (
  principal == ${uid('Agent', agent)},
  action == Action::"data:reveal",
  resource
)
when { context.connection == ${uid('Connection', connection)} };
`
}
