import type { PackHead } from '@countersign/contract/ledger/campaign-pack'

/** A requirement of a catalogue that asks for access reviews or for records of them, and what of a pack answers it. */
export interface Control {
  /** As campaigns name it, `soc2:CC6.3`. */
  id: string
  catalogue: string
  number: string
  /** What it asks for, in our words. */
  asks: string
  /** Which part of the pack is evidence of it. */
  shows: string
  /** What has to come from elsewhere. */
  besides: string
}

const tsc = 'SOC 2 (Trust Services Criteria 2017)'
const iso = 'ISO/IEC 27001:2022, Annex A'
const nist = 'NIST SP 800-53 Rev. 5'
const pci = 'PCI DSS v4.0.1'
const nhi = 'OWASP Non-Human Identities Top 10 (2025)'

/** In the order of the report. A mapping says where to look, not that a requirement is met: that is for an assessor. */
export const controls: readonly Control[] = [
  {
    ...{ id: 'soc2:CC6.1', catalogue: tsc, number: 'CC6.1' },
    asks: 'Logical access to protected information assets is restricted.',
    shows: 'Each item’s permitted × used table, and policies/ as they were in force before and after.',
    besides: 'Access that does not go through this gateway.',
  },
  {
    ...{ id: 'soc2:CC6.2', catalogue: tsc, number: 'CC6.2' },
    asks: 'Access is registered and authorised, and removed when it is no longer authorised.',
    shows: 'Sponsor and state of each identity; decisions to revoke with the entries of their application.',
    besides: 'How identities are issued and deleted at the identity provider.',
  },
  {
    ...{ id: 'soc2:CC6.3', catalogue: tsc, number: 'CC6.3' },
    asks: 'Access is changed and removed by role and duty, with least privilege and segregation of duties.',
    shows: 'Reductions with the tighter policy; who decided and who, another person, applied it; probes of the gate.',
    besides: 'The design of roles in the source systems.',
  },
  {
    ...{ id: 'iso27001:A.5.15', catalogue: iso, number: '5.15' },
    asks: 'Rules of access to information are set and carried out.',
    shows: 'The policy sets before and after, with their versions in the ledger.',
    besides: 'The organisation’s access control policy as a document.',
  },
  {
    ...{ id: 'iso27001:A.5.18', catalogue: iso, number: '5.18' },
    asks: 'Access rights are given, reviewed, changed and removed by those rules.',
    shows: 'The items, their decisions, and what became of each reduction and revocation.',
    besides: 'That reviews are held as often as planned: the campaigns before this one.',
  },
  {
    ...{ id: 'iso27001:A.8.2', catalogue: iso, number: '8.2' },
    asks: 'Privileged access rights are few and managed.',
    shows: 'Items marked as privileged; they are never decided in bulk.',
    besides: 'Privileged access outside of this campaign’s scope.',
  },
  {
    ...{ id: 'nist-800-53:AC-2(j)', catalogue: nist, number: 'AC-2 j' },
    asks: 'Accounts are reviewed for compliance with account management requirements.',
    shows: 'Each item’s identity: sponsor, owner, purpose, last use, and the decision on it.',
    besides: 'Accounts that are not agents of this gateway.',
  },
  {
    ...{ id: 'nist-800-53:AC-6(7)', catalogue: nist, number: 'AC-6(7)' },
    asks: 'Privileges are reviewed, and reassigned or removed where they are not needed.',
    shows: 'Permitted × used, recommendations from observed use, reductions applied and probed.',
    besides: 'The frequency and the roles that the organisation defines.',
  },
  {
    ...{ id: 'nist-800-53:AU-9', catalogue: nist, number: 'AU-9' },
    asks: 'Audit information is protected from being changed or deleted.',
    shows: 'checkpoint and entries/: a change of an entry does not verify.',
    besides: 'Backups, and who may read and delete the gateway’s data folder.',
  },
  {
    ...{ id: 'nist-800-53:AU-10', catalogue: nist, number: 'AU-10' },
    asks: 'Who did what can be shown, so that it can’t be denied afterwards.',
    shows: 'Each decision, move and sign-off as a ledger entry with the person, signed by the log’s key.',
    besides: 'That people’s sign-in at the identity provider is their own; people do not sign themselves.',
  },
  {
    ...{ id: 'pci-dss:7.2.4', catalogue: pci, number: '7.2.4' },
    asks: 'User accounts and their privileges are reviewed at least every six months, and management acknowledges it.',
    shows: 'Time, items, decisions, and the statements of the sign-offs.',
    besides: 'Accounts of people, and that six months were kept.',
  },
  {
    ...{ id: 'pci-dss:7.2.5.1', catalogue: pci, number: '7.2.5.1' },
    asks: 'Access of application and system accounts is reviewed periodically, stays appropriate, and is acknowledged.',
    shows: 'The same, for the agents in scope; what was inappropriate with its application.',
    besides: 'The targeted risk analysis that sets the period.',
  },
  {
    ...{ id: 'owasp-nhi:NHI1', catalogue: nhi, number: 'NHI1:2025' },
    asks: 'Non-human identities that are no longer needed are offboarded.',
    shows: 'Agents without a sponsor or without use, and the decisions to revoke them.',
    besides: 'Deactivation of their credentials at their source.',
  },
  {
    ...{ id: 'owasp-nhi:NHI5', catalogue: nhi, number: 'NHI5:2025' },
    asks: 'Non-human identities have no more privileges than they need.',
    shows: 'Unused permissions per agent, tighter policies, and what was applied.',
    besides: 'Privileges of the gateway’s own accounts at the connections.',
  },
]

/** Whether the campaign itself names a control as one that it serves. */
export const isNamed = ({ id }: Control, { plan }: Pick<PackHead, 'plan'>): boolean =>
  Array.isArray(plan.controls) && plan.controls.includes(id)
