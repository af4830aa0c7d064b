import { CampaignPlan, type CampaignPlanInput, type CampaignTemplate } from '@countersign/contract/review'

/**
 * Templates that come with Countersign. None of them begins anything by itself: whoever saves one makes it their own,
 * with the calendar that it suggests or another one.
 * @param classes data classes that connections have now
 */
export function builtInTemplates(classes: readonly string[]): CampaignTemplate[] {
  return [
    template('production', 'quarter', {
      title: 'Access to production',
      description: 'What agents may on production, each by who answers for it, beside what they did there.',
      scope: { tags: ['production'] },
      windowDays: 90,
      stages: [{ title: 'Sponsor', reviewers: [{ kind: 'sponsor' }, { kind: 'owner' }, { kind: 'role' }] }],
      days: 14,
      onExpiry: 'revoke',
      controls: ['soc2:CC6.2', 'soc2:CC6.3', 'iso27001:A.5.18', 'nist-800-53:AC-2(j)', 'pci-dss:7.2.4'],
    }),
    template('privileged', 'quarter', {
      title: 'Privileged access',
      description:
        'Access that can change or destroy much, or see what is masked: its sponsor first, then a second pair of eyes.',
      scope: { privileged: true },
      windowDays: 90,
      stages: [
        { title: 'Sponsor', reviewers: [{ kind: 'sponsor' }, { kind: 'owner' }, { kind: 'role' }] },
        { title: 'Second look', reviewers: [{ kind: 'role' }] },
      ],
      days: 14,
      onExpiry: 'revoke',
      controls: ['soc2:CC6.3', 'iso27001:A.5.18', 'nist-800-53:AC-6(7)', 'pci-dss:7.2.5.1'],
    }),
    template('orphans', 'month', {
      title: 'Agents that nobody answers for',
      description: 'Agents without a sponsor, or whose sponsor is unknown or has left.',
      scope: { orphans: true },
      windowDays: 90,
      stages: [{ title: 'Review', reviewers: [{ kind: 'owner' }, { kind: 'role' }] }],
      days: 7,
      onExpiry: 'revoke',
      controls: ['soc2:CC6.2', 'nist-800-53:AC-2(j)', 'owasp-nhi:NHI1'],
    }),
    template('unused', 'quarter', {
      title: 'Access that nobody uses',
      description: 'Standing access that was not used for 60 days. What nobody defends is revoked.',
      scope: { access: 'standing', idleDays: 60 },
      windowDays: 180,
      stages: [{ title: 'Sponsor', reviewers: [{ kind: 'sponsor' }, { kind: 'owner' }, { kind: 'role' }] }],
      days: 14,
      onExpiry: 'revoke',
      controls: ['soc2:CC6.3', 'nist-800-53:AC-6(7)', 'pci-dss:7.2.5.1', 'owasp-nhi:NHI5'],
    }),
    template('jit-rules', 'half-year', {
      title: 'Rules of just-in-time access',
      description:
        'Rules by which access is given when it is asked for, with uses that were drawn from what was done by them.',
      scope: { access: 'jit', rules: true },
      windowDays: 180,
      stages: [{ title: 'Review', reviewers: [{ kind: 'role' }] }],
      days: 21,
      onExpiry: 'keep',
      controls: ['soc2:CC6.1', 'soc2:CC6.3', 'nist-800-53:AC-6(7)'],
    }),
    template('data-classes', 'half-year', {
      title: 'Who sees personal and secret data',
      description: 'Agents that see values of a data class unmasked.',
      scope: classes.length > 0 ? { classes: [...classes].slice(0, 100) } : {},
      windowDays: 180,
      stages: [{ title: 'Sponsor', reviewers: [{ kind: 'sponsor' }, { kind: 'owner' }, { kind: 'role' }] }],
      days: 14,
      onExpiry: 'recommendation',
      controls: ['soc2:CC6.1', 'iso27001:A.5.18', 'pci-dss:7.2.4'],
    }),
    {
      ...template('changes', undefined, {
        title: 'Access that changed',
        description:
          'A small campaign about the agents concerned whenever one may more than before, acts unlike before, or loses its sponsor.',
        windowDays: 30,
        stages: [{ title: 'Review', reviewers: [{ kind: 'sponsor' }, { kind: 'owner' }, { kind: 'role' }] }],
        days: 7,
        onExpiry: 'recommendation',
        controls: ['soc2:CC6.2', 'nist-800-53:AC-2(j)', 'owasp-nhi:NHI1'],
      }),
      triggers: ['new-privilege', 'unusual-use', 'sponsor-left'],
    },
  ]
}

function template(
  id: string,
  every: NonNullable<CampaignTemplate['cadence']>['every'] | undefined,
  plan: CampaignPlanInput,
): CampaignTemplate {
  return {
    id,
    plan: CampaignPlan.parse(plan),
    builtIn: true,
    ...(every && { cadence: { every, from: '2026-01-01' } }),
    triggers: [],
    enabled: false,
  }
}
