import type { PersonPrincipal, Principal } from '../identity/principal.ts'
import { forbidden, hasRole } from './visibility.ts'

/**
 * Who may do what with campaigns (contract.md section 7; docs/reviews.md). Whose an item is to decide is the rooms' to
 * say: here is what a role may do at all.
 */

/** Campaigns, items, overlays, backtests. */
export function seesReviews(caller: Principal): caller is PersonPrincipal {
  return hasRole(caller, 'reviewer', 'auditor', 'admin')
}

/** @throws HttpProblem 403 */
export function readsReviews(caller: Principal): PersonPrincipal {
  if (seesReviews(caller)) return caller
  throw forbidden(caller, 'Campaigns are read by reviewers, auditors and admins')
}

/** Makes, starts and closes campaigns, and saves templates. @throws HttpProblem 403 */
export function runsReviews(caller: Principal): PersonPrincipal {
  const person = readsReviews(caller)
  if (hasRole(person, 'reviewer', 'admin')) return person
  throw forbidden(person, 'Campaigns are made, started and closed by reviewers and admins')
}

/** Decides items, comments on them, moves them, signs off. @throws HttpProblem 403 */
export function reviews(caller: Principal): PersonPrincipal {
  const person = readsReviews(caller)
  if (hasRole(person, 'reviewer')) return person
  throw forbidden(person, 'Items are decided and campaigns signed off by reviewers')
}
