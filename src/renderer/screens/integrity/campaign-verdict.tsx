import type { ReactNode } from 'react'
import type { BundleVerdict } from '../../../witness-api.ts'
import { useReviews } from '../../app/reviews.ts'
import { hashOf } from '../../app/route.ts'
import { Chip } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Facts, Section } from './parts.tsx'
import { applicationWords, campaignWords, exceptionWords, figure, onceOnly } from './words.ts'

type About = NonNullable<BundleVerdict['about']>

/** A campaign by its title, and where this desktop knows it a way to it; its id beside it. */
export function CampaignName({ id, review }: { id: string; review: About['review'] }) {
  const known = useReviews(({ campaigns }) => campaigns.has(id))
  const title = <VisibleText>{review?.title ?? id}</VisibleText>
  return (
    <>
      campaign{' '}
      {known ? (
        <a href={hashOf({ screen: 'reviews', id })} className="font-semibold text-accent underline underline-offset-2">
          {title}
        </a>
      ) : (
        title
      )}
      {review ? (
        <code className="ml-2 text-fine text-dim">
          <VisibleText>{id}</VisibleText>
        </code>
      ) : null}
    </>
  )
}

/** What became of a campaign, as its entries in the bundle say. */
export function CampaignVerdict({ review, outcome }: { review: NonNullable<About['review']>; outcome: string }) {
  const now = useNow()
  const believed = outcome === 'whole' || outcome === 'incomplete'
  const applied = Object.entries(review.applications).filter(([, count]) => count > 0)
  const when = (at: string) => (Number.isNaN(Date.parse(at)) ? at : dateAndClock(at, now))
  return (
    <Section title={believed ? 'The campaign' : 'The campaign, as the bundle says: nothing vouches for it'}>
      <Facts
        facts={[
          ['State', <VisibleText key="state">{campaignWords[review.state] ?? review.state}</VisibleText>],
          [
            'Items',
            <>
              <b className="font-semibold">{figure(review.items - review.undecided)}</b> of {figure(review.items)}{' '}
              decided
            </>,
          ],
          applied.length > 0
            ? [
                'Applied',
                applied.map(([state, count]) => `${figure(count)} ${applicationWords[state] ?? state}`).join(', '),
              ]
            : undefined,
          ...review.signOffs.map(({ person, at, statement }): readonly [string, ReactNode] => [
            'Signed off',
            <>
              <VisibleText>{person}</VisibleText>, <VisibleText>{when(at)}</VisibleText>{' '}
              <q className="inline-block max-w-full rounded-tag bg-sunken px-2 break-words">
                <VisibleText>{statement}</VisibleText>
              </q>
            </>,
          ]),
          ['Left open', <Exceptions key="open" exceptions={review.exceptions} />],
        ]}
      />
    </Section>
  )
}

function Exceptions({ exceptions }: Pick<NonNullable<About['review']>, 'exceptions'>) {
  if (exceptions.length === 0) return <span className="text-ok">nothing</span>
  return (
    <ul className="flex min-h-5 flex-wrap items-center gap-1.5">
      {exceptions.map(({ code, count }) => (
        <li key={code} className="flex">
          <Chip tone="warn">
            {onceOnly.has(code) ? '' : `${figure(count)} `}
            <VisibleText>{exceptionWords[code] ?? code}</VisibleText>
          </Chip>
        </li>
      ))}
    </ul>
  )
}
