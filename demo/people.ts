import type { IssuerAgent, IssuerPerson } from './issuer.ts'

/** The people of the sample world (docs/sample-world.md). */
export const people: IssuerPerson[] = [
  { subject: 'ada', name: 'Ada Lind', email: 'ada@shop.example', groups: ['oncall-dba'], about: 'approver, on call' },
  {
    subject: 'ben',
    name: 'Ben Osei',
    email: 'ben@shop.example',
    groups: ['oncall-dba', 'support-leads'],
    about: 'approver',
  },
  { subject: 'rae', name: 'Rae Moreau', email: 'rae@shop.example', groups: ['security'], about: 'security reviewer' },
  { subject: 'aud', name: 'Aud Berg', email: 'aud@shop.example', groups: ['audit'], about: 'auditor' },
  { subject: 'admin', name: 'Max Novak', email: 'admin@shop.example', groups: ['platform'], about: 'admin' },
]

/** Its agents. Their secrets open nothing but the sample world's own issuer on loopback. */
export const agents: IssuerAgent[] = [
  {
    subject: 'report-builder',
    groups: ['shop-agents'],
    owner: 'ben@shop.example',
    secret: 'sample-secret-of-report-builder',
  },
  {
    subject: 'billing-cleanup',
    groups: ['shop-agents', 'maintenance-agents'],
    owner: 'admin@shop.example',
    secret: 'sample-secret-of-billing-cleanup',
  },
  {
    subject: 'support-copilot',
    groups: ['shop-agents', 'support-agents'],
    owner: 'rae@shop.example',
    secret: 'sample-secret-of-support-copilot',
  },
  {
    subject: 'schema-bot',
    groups: ['shop-agents', 'maintenance-agents'],
    owner: 'admin@shop.example',
    secret: 'sample-secret-of-schema-bot',
  },
  {
    subject: 'catalog-sync',
    groups: ['shop-agents', 'maintenance-agents'],
    owner: 'ben@shop.example',
    secret: 'sample-secret-of-catalog-sync',
  },
  {
    subject: 'planner',
    name: 'Month-end planner',
    groups: ['shop-agents', 'maintenance-agents'],
    secret: 'sample-secret-of-planner',
  },
  {
    subject: 'host-watch',
    groups: ['host-agents'],
    owner: 'ben@shop.example',
    secret: 'sample-secret-of-host-watch',
  },
  {
    subject: 'release-bot',
    groups: ['host-agents', 'release-agents'],
    owner: 'admin@shop.example',
    secret: 'sample-secret-of-release-bot',
  },
  {
    subject: 'you',
    groups: ['shop-agents', 'maintenance-agents', 'support-agents', 'host-agents', 'release-agents'],
    secret: 'sample-secret-of-you',
  },
]
