import type { Campaign } from '@countersign/contract/review'
import { TriangleAlert } from 'lucide-react'
import { Fragment } from 'react'
import { useSignals } from '../../app/reviews.ts'
import { useWorld } from '../../app/store.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Section } from '../agents/parts.tsx'
import { BurnDown } from './progress.tsx'
import { figure } from './words.ts'

/** How it goes and how it was decided: the burn-down, and for its owner, auditors and admins the signs of rubber stamps. */
export function Signals({ campaign }: { campaign: Campaign }) {
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const decided = campaign.counts.items - campaign.counts.undecided
  const { value, problem } = useSignals(campaign.id, decided)
  const now = Date.now()
  const sees =
    me?.kind === 'person' &&
    (me.roles.includes('auditor') ||
      me.roles.includes('admin') ||
      campaign.createdBy?.id === me.id ||
      campaign.startedBy?.id === me.id)
  // The gateway tells it the campaign's owner, auditors and admins; who else the owner is, it knows alone.
  if (!sees && !value) return null
  return (
    <>
      <Section title="Burn-down" more="items open by day, UTC">
        {value ? (
          <BurnDown
            days={value.burnDown}
            startedAt={campaign.startedAt ?? campaign.createdAt}
            dueAt={campaign.dueAt}
            items={campaign.counts.items}
            now={now}
          />
        ) : (
          <p role="status" className="min-h-28 text-fine text-dim">
            {!live ? 'This is counted at the gateway: it can’t be told offline.' : problem || 'The gateway counts…'}
          </p>
        )}
      </Section>
      {sees && value && value.reviewers.length > 0 ? (
        <Section title="How it was decided" more="by speed, share and evidence, as consoles tell it">
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys */}
          <section tabIndex={0} aria-label="Reviewers" className="overflow-x-auto">
            <table className="w-full max-w-[760px] text-fine">
              <thead>
                <tr className="text-left text-dim">
                  <th scope="col" className="pr-4 font-semibold">
                    Reviewer
                  </th>
                  {['decided', 'certified', 'as recommended', 'together', 'median', 'no evidence seen'].map((name) => (
                    <th key={name} scope="col" className="pr-4 text-right font-semibold whitespace-nowrap">
                      {name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody className="tabular-nums">
                {value.reviewers.map((each) => (
                  <Fragment key={each.person.id}>
                    <tr className="border-t border-line">
                      <th scope="row" className="py-1 pr-4 text-left font-normal">
                        <VisibleText>{each.person.name}</VisibleText>
                      </th>
                      <td className="py-1 pr-4 text-right">{figure(each.decided)}</td>
                      <td className="py-1 pr-4 text-right">{share(each.certified, each.decided)}</td>
                      <td className="py-1 pr-4 text-right">{share(each.followed, each.decided)}</td>
                      <td className="py-1 pr-4 text-right">{figure(each.bulk)}</td>
                      <td className="py-1 pr-4 text-right">
                        {each.medianSeconds === undefined ? '–' : `${Math.round(each.medianSeconds)} s`}
                      </td>
                      <td className="py-1 pr-4 text-right">{figure(each.withoutEvidence)}</td>
                    </tr>
                    {each.flags.length > 0 ? (
                      <tr>
                        <td colSpan={7} className="pb-1.5 text-warn">
                          {each.flags.map((flag) => (
                            <span key={flag.code} className="mr-4 inline-flex items-start gap-1">
                              <TriangleAlert size={12} className="mt-0.5 shrink-0" aria-label="a sign" />
                              <VisibleText>{flag.text}</VisibleText>
                            </span>
                          ))}
                        </td>
                      </tr>
                    ) : null}
                  </Fragment>
                ))}
              </tbody>
            </table>
          </section>
        </Section>
      ) : null}
    </>
  )
}

const share = (part: number, of: number) => (of === 0 ? '–' : `${Math.round((100 * part) / of)} %`)
