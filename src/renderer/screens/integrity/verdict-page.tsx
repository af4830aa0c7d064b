import type { Session } from '@countersign/contract/session'
import { Check, CircleDashed, Eraser, Minus, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { BundleVerdict } from '../../../witness-api.ts'
import { wordsOf } from '../../app/api.ts'
import { useKeys } from '../../app/keys.ts'
import { go, hashOf } from '../../app/route.ts'
import { core, useWorld } from '../../app/store.ts'
import { AgentOn } from '../../parts/agent-on.tsx'
import { Button, Key, Notice } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { size } from '../../parts/size.ts'
import { dateAndClock } from '../../parts/time.ts'
import { OutcomeWord } from '../../parts/verified.tsx'
import { VisibleText } from '../../parts/visible-text.tsx'
import { CampaignName, CampaignVerdict } from './campaign-verdict.tsx'
import { Facts, Page, Section } from './parts.tsx'
import { entries, figure, trustWords } from './words.ts'

/** What the verification of a bundle found: the outcome in words, then where, then what the bundle says. */
export function VerdictPage({ id, again }: { id: string; again?: (() => void) | undefined }) {
  const [verdict, setVerdict] = useState<BundleVerdict | null | undefined>(undefined)
  const [problem, setProblem] = useState('')
  useEffect(() => {
    let gone = false
    setVerdict(undefined)
    setProblem('')
    core()
      .call('bundleVerdict', { id })
      .then(
        (found) => gone || setVerdict(found),
        (error) => gone || setProblem(wordsOf(error)),
      )
    return () => {
      gone = true
    }
  }, [id])
  if (problem)
    return (
      <Notice title="This verdict can’t be shown" role="alert">
        <p>{problem}</p>
      </Notice>
    )
  if (verdict === undefined) return <Notice title="Reading…" role="status" />
  if (verdict === null)
    return (
      <Notice title="This verdict is not kept any more">
        <p>The newest hundred are. Drop the bundle again to have it verified again.</p>
      </Notice>
    )
  return <Verdict verdict={verdict} again={again} />
}

function Verdict({ verdict, again }: { verdict: BundleVerdict; again: (() => void) | undefined }) {
  const now = useNow()
  const sessions = useWorld((world) => world.sessions)
  const { about, findings, counts } = verdict
  const hidden = counts.integrity + counts.completeness - findings.length
  const known = about?.sessions.find((session) => sessions.has(session))
  useKeys({
    r() {
      if (known === undefined) return false
      go({ screen: 'replay', id: known })
      return true
    },
  })
  return (
    <Page label={`Verification of ${verdict.name}`}>
      <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
        <h2 className="min-w-0 text-title font-semibold break-all">
          <VisibleText>{verdict.name}</VisibleText>
        </h2>
        <OutcomeWord outcome={verdict.outcome} />
        <span className="ml-auto text-dim">
          {size(verdict.bytes)} · verified {dateAndClock(verdict.at, now)}
        </span>
      </div>
      <p className="mt-3 max-w-prose text-head">
        <VisibleText>{verdict.why}</VisibleText>
      </p>
      <Facts
        facts={[
          [
            'Signed',
            <span key="signed">
              {trustWords[verdict.trust]}
              {verdict.signedBy.length > 0 ? (
                <code className="block text-fine break-all text-dim">{verdict.signedBy.join(', ')}</code>
              ) : null}
            </span>,
          ],
          verdict.cosignedBy.length > 0
            ? [
                'Cosigned',
                <code key="cosigned" className="text-fine break-all">
                  {verdict.cosignedBy.join(', ')}
                </code>,
              ]
            : undefined,
          about
            ? [
                'About',
                <span key="about">
                  {about.campaign ? <CampaignName id={about.campaign} review={about.review} /> : null}
                  {about.campaign && about.sessions.length > 0 ? ', with ' : null}
                  {sessionsWord(about)}
                  {about.sessions.slice(0, 20).map((session, i) => (
                    <span key={session}>
                      {i > 0 ? ', ' : ''}
                      {sessions.has(session) ? (
                        <a
                          href={hashOf({ screen: 'sessions', id: session })}
                          title={session}
                          className="text-accent underline underline-offset-2"
                        >
                          <KnownSession session={sessions.get(session)!} />
                        </a>
                      ) : (
                        <span className="font-mono text-fine">
                          <VisibleText>{session}</VisibleText>
                        </span>
                      )}
                    </span>
                  ))}
                </span>,
              ]
            : undefined,
          about ? ['Log', <VisibleText key="log">{`${about.origin}, ${entries(about.size)}`}</VisibleText>] : undefined,
          about
            ? [
                'Made',
                <VisibleText key="made">{`${Number.isNaN(Date.parse(about.madeAt)) ? about.madeAt : dateAndClock(about.madeAt, now)}${about.madeBy ? ` for ${about.madeBy}` : ''}`}</VisibleText>,
              ]
            : undefined,
          about?.policy ? ['Policy', <VisibleText key="policy">{`version ${about.policy}`}</VisibleText>] : undefined,
        ]}
      />
      {again || known ? (
        <div className="mt-4 flex flex-wrap gap-2.5">
          {again ? (
            <Button onClick={again}>
              Verify again <Key>V</Key>
            </Button>
          ) : null}
          {known ? (
            <a
              href={hashOf({ screen: 'replay', id: known })}
              className="inline-flex h-9 items-center gap-2.5 rounded-box border border-line bg-panel px-3.5 font-semibold text-accent hover:bg-sunken"
            >
              Replay <Key>R</Key>
            </a>
          ) : null}
        </div>
      ) : null}
      {findings.length > 0 ? (
        <Section title="What is wrong, the first place first">
          <ol className="divide-y divide-line rounded-box border border-line bg-panel">
            {findings.map((finding, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: findings have no other name, and never move
              <li key={i} className="px-4 py-2.5">
                <p>
                  <span className={`mr-2 font-semibold ${finding.about === 'integrity' ? 'text-danger' : 'text-warn'}`}>
                    {finding.about === 'integrity' ? 'changed' : 'missing'}
                  </span>
                  <VisibleText>{finding.text}</VisibleText>
                </p>
                {finding.place ? (
                  <p className="font-mono text-fine break-all text-dim">
                    <VisibleText>{finding.place}</VisibleText>
                  </p>
                ) : null}
              </li>
            ))}
          </ol>
          {hidden > 0 ? (
            <p className="mt-1.5 text-fine text-dim">{figure(hidden)} more were counted, not listed.</p>
          ) : null}
        </Section>
      ) : null}
      {about?.review ? <CampaignVerdict review={about.review} outcome={verdict.outcome} /> : null}
      {verdict.parts.length > 0 ? (
        <Section title="Its parts">
          <ul className="rounded-box border border-line bg-panel py-1">
            {verdict.parts.map(({ part, state, text }) => (
              <li key={part} className="flex items-baseline gap-3 px-4 py-1">
                <PartState state={state} />
                <span className="w-52 shrink-0 truncate font-mono text-fine max-lg:w-32">
                  <VisibleText>{part}</VisibleText>
                </span>
                <span className="min-w-0 flex-1 wrap-anywhere text-dim">
                  <VisibleText>{text}</VisibleText>
                </span>
              </li>
            ))}
          </ul>
        </Section>
      ) : null}
      {about && !about.review && (about.decisions.length > 0 || about.people.length > 0) ? (
        <Decisions about={about} outcome={verdict.outcome} />
      ) : null}
    </Page>
  )
}

/** A session that this desktop knows: by who, where and when; its id is for those it doesn’t. */
function KnownSession({ session }: { session: Session }) {
  return (
    <>
      <AgentOn agent={session.identity.name} connection={session.connection} />,{' '}
      {dateAndClock(session.openedAt, Date.now())}
    </>
  )
}

function sessionsWord({ campaign, sessions }: NonNullable<BundleVerdict['about']>): string {
  if (campaign && sessions.length === 0) return ''
  return sessions.length === 1 ? 'session ' : `${figure(sessions.length)} sessions: `
}

const parts: Record<string, [icon: typeof Check, ink: string]> = {
  whole: [Check, 'text-ok'],
  incomplete: [Minus, 'text-warn'],
  broken: [X, 'text-danger'],
  erased: [Eraser, 'text-dim'],
}

function PartState({ state }: { state: string }) {
  const [Icon, ink] = parts[state] ?? [CircleDashed, 'text-dim']
  return (
    <span className={`flex w-24 shrink-0 items-baseline gap-1.5 text-fine ${ink}`}>
      <Icon size={13} aria-hidden className="shrink-0 self-center" />
      {state === 'cant-tell' ? 'can’t tell' : state}
    </span>
  )
}

function Decisions({
  about,
  outcome,
}: {
  about: NonNullable<BundleVerdict['about']>
  outcome: BundleVerdict['outcome']
}) {
  const now = useNow()
  const believed = outcome === 'whole' || outcome === 'incomplete'
  return (
    <Section
      title={believed ? 'People and decisions' : 'People and decisions, as the bundle says: nothing vouches for it'}
    >
      {about.decisions.length === 0 ? (
        <p className="text-dim">
          No decision. Named: <VisibleText>{about.people.map(({ name }) => name).join(', ')}</VisibleText>
        </p>
      ) : (
        <ul className="rounded-box border border-line bg-panel py-1">
          {about.decisions.map((one, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: decisions have no other name, and never move
            <li key={i} className="flex items-baseline gap-3 px-4 py-1">
              <span className="min-w-0 flex-1">
                <b className="font-semibold">
                  <VisibleText>{one.person}</VisibleText>
                </b>{' '}
                {one.verdict === 'approve' ? 'approved' : <span className="text-danger">denied</span>}
                {one.reason ? (
                  <>
                    {': '}
                    <q>
                      <VisibleText>{one.reason}</VisibleText>
                    </q>
                  </>
                ) : null}
              </span>
              <span className="text-fine text-dim">
                {Number.isNaN(Date.parse(one.at)) ? <VisibleText>{one.at}</VisibleText> : dateAndClock(one.at, now)}
              </span>
            </li>
          ))}
        </ul>
      )}
    </Section>
  )
}
