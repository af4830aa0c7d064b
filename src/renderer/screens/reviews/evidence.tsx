import type { CampaignItemPage, EvidenceCommand, ItemEvidence } from '@countersign/contract/review'
import { CircleAlert, PlayCircle } from 'lucide-react'
import { type ReactNode, useMemo, useState } from 'react'
import { hashOf } from '../../app/route.ts'
import { Chip } from '../../parts/basics.tsx'
import { CedarText } from '../../parts/cedar-text.tsx'
import { CommandText } from '../../parts/command-text.tsx'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { linkLook } from '../access/grant-facts.tsx'
import { HeatStrip } from '../agents/heat-strip.tsx'
import { PermittedAgainstUsed } from '../agents/matrix.tsx'
import { byVerb } from './questions.ts'
import { figure, many } from './words.ts'

/** A part of the evidence, which counts as looked at once it was in sight. */
export function Part(props: { name: string; title: string; more?: ReactNode; children: ReactNode }) {
  const id = `evidence-${props.name}`
  return (
    <section aria-labelledby={id} data-evidence={props.name} className="mt-5 scroll-mt-4">
      <h3 id={id} tabIndex={-1} className="mb-2 text-fine font-semibold text-dim outline-none">
        {props.title}
        {props.more ? <span className="font-normal"> · {props.more}</span> : null}
      </h3>
      {props.children}
    </section>
  )
}

const boxLook = 'overflow-hidden rounded-box border border-line bg-panel'

/** Permitted × used of the item’s connection, a verb a column. */
export function MatrixPart({ evidence }: { evidence: ItemEvidence }) {
  const access = useMemo(
    () => ({
      agent: evidence.identity.agent ?? evidence.identity.name,
      since: evidence.window.from,
      ...byVerb(evidence.permitted, evidence.used),
    }),
    [evidence],
  )
  return (
    <Part name="matrix" title="What it may, and what it used" more={windowWords(evidence)}>
      <PermittedAgainstUsed access={access} summed={false} />
    </Part>
  )
}

/** Whom a rule lets ask, and who was given something by it; those first. */
export function AskersPart({ evidence }: { evidence: ItemEvidence }) {
  const [all, setAll] = useState(false)
  const askers = evidence.askers ?? []
  const shown = all ? askers : askers.slice(0, 12)
  return (
    <Part name="askers" title="Whom it lets ask, and whom it gave something" more={windowWords(evidence)}>
      {askers.length === 0 ? (
        <p className="text-dim">Nobody that is known here may ask by it.</p>
      ) : (
        <ul className="rounded-box border border-line bg-panel py-1 text-fine">
          {shown.map(({ agent, name, verdict, grants }) => (
            <li key={agent} className="flex items-baseline gap-3 px-3.5 py-0.5">
              <a className={`min-w-0 truncate ${linkLook}`} href={hashOf({ screen: 'agents', id: agent })}>
                <VisibleText>{name}</VisibleText>
              </a>
              <span className="flex-1 text-dim">{askWords[verdict]}</span>
              <span className={grants === 0 ? 'text-dim' : ''}>
                {grants === 0 ? 'none given' : `${many(grants, 'grant')} given`}
              </span>
            </li>
          ))}
        </ul>
      )}
      {askers.length > shown.length ? (
        <button type="button" className={`mt-1.5 text-fine ${linkLook}`} onClick={() => setAll(true)}>
          {figure(askers.length - shown.length)} more
        </button>
      ) : null}
    </Part>
  )
}

const askWords = {
  allow: 'may ask, and is given it',
  hold: 'may ask; people decide',
  depends: 'it depends on what is asked',
} as const

/** Use by day. */
export function DaysPart({ evidence }: { evidence: ItemEvidence }) {
  if (evidence.days.length === 0) return null
  return (
    <Part name="days" title="Activity" more="uses a day, UTC">
      <HeatStrip days={evidence.days} since={evidence.window.from} now={Date.parse(evidence.window.to)} />
    </Part>
  )
}

function windowWords({ window, coverage }: ItemEvidence): string {
  const days = Math.max(1, Math.round((Date.parse(window.to) - Date.parse(window.from)) / 86_400_000))
  return `${many(days, 'day')} until ${dateAndClock(window.to, Date.now())}, ${many(coverage.commands, 'command')} read`
}

/** What it did against its purpose: refused, held, masked, out of the usual; each with its place in Replay. */
export function AgainstPart({ evidence, onReplay }: { evidence: ItemEvidence; onReplay: () => void }) {
  const { refused, heldCommands, masked, anomalies } = evidence
  if (refused.length + heldCommands.length + masked.length + anomalies.length === 0) return null
  return (
    <Part name="against" title="What stands out">
      <div className="flex flex-col gap-2">
        {anomalies.length > 0 ? (
          <ul className={`${boxLook} py-1`}>
            {anomalies.map((each, i) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: anomalies have no other identity
              <li key={i} className="flex items-baseline gap-2.5 px-4 py-1">
                <CircleAlert size={13} className="shrink-0 self-center text-warn" aria-label="unusual" />
                <span className="min-w-0 flex-1 break-words">
                  <VisibleText>{each.text}</VisibleText>
                </span>
                {each.session ? (
                  <ReplayLink session={each.session} at={each.at} onReplay={onReplay} />
                ) : each.at ? (
                  <time className="text-fine text-dim">{dateAndClock(each.at, Date.now())}</time>
                ) : null}
              </li>
            ))}
          </ul>
        ) : null}
        {masked.length > 0 ? (
          <p className="text-fine text-dim">
            Read masked:{' '}
            {masked.map((each) => (
              <span key={each.class} className="mr-2">
                <Chip>{each.class}</Chip> {many(each.commands, 'command')}
              </span>
            ))}
          </p>
        ) : null}
        <Commands title="Denied" commands={refused} onReplay={onReplay} />
        <Commands title="Held" commands={heldCommands} onReplay={onReplay} />
      </div>
    </Part>
  )
}

const SHOWN = 5

export function Commands(props: { title: string; commands: readonly EvidenceCommand[]; onReplay: () => void }) {
  const { title, commands } = props
  const [all, setAll] = useState(false)
  if (commands.length === 0) return null
  const shown = all ? commands : commands.slice(0, SHOWN)
  return (
    <div className={boxLook}>
      <h4 className="px-4 pt-2 text-fine font-semibold text-dim">
        {title} <span className="font-normal">{figure(commands.length)}</span>
      </h4>
      <ul>
        {shown.map((each) => (
          <li
            key={`${each.session} ${each.command}`}
            className="border-t border-line px-4 py-2 first:border-t-0"
            data-cited={`${each.session} ${each.at}`}
          >
            <p className="flex items-baseline gap-3 text-fine text-dim">
              <span className="min-w-0 flex-1">
                <VisibleText>{each.why}</VisibleText>
                {each.verdict.policies.length > 0 ? ` · ${each.verdict.policies.join(', ')}` : ''}
              </span>
              <time dateTime={each.at} className="shrink-0 tabular-nums">
                {dateAndClock(each.at, Date.now())}
              </time>
              <ReplayLink session={each.session} at={each.at} onReplay={props.onReplay} />
            </p>
            {each.text === '' ? (
              <p className="text-dim italic">Its text is erased; the entry of the log remains.</p>
            ) : (
              <pre className="mt-0.5 max-h-28 overflow-y-auto font-mono text-fine break-words whitespace-pre-wrap">
                <CommandText text={each.text} protocol="postgres" />
              </pre>
            )}
          </li>
        ))}
      </ul>
      {commands.length > shown.length ? (
        <button type="button" className={`m-2 ml-4 text-fine ${linkLook}`} onClick={() => setAll(true)}>
          Show all {figure(commands.length)}
        </button>
      ) : null}
    </div>
  )
}

function ReplayLink(props: { session: string; at: string | undefined; onReplay: () => void }) {
  const { session, at } = props
  return (
    <a
      className={`inline-flex shrink-0 items-center gap-1 text-fine ${linkLook}`}
      href={hashOf({ screen: 'replay', id: session, ...(at && { at }) })}
      onClick={props.onReplay}
    >
      <PlayCircle size={12} aria-hidden /> Replay
    </a>
  )
}

/** The first command that the evidence cites, for the key R. */
export function firstCited(evidence: ItemEvidence): { session: string; at?: string } | undefined {
  const odd = evidence.anomalies.find(({ session }) => session !== undefined)
  return (
    evidence.refused[0] ??
    evidence.heldCommands[0] ??
    (odd?.session ? { session: odd.session, ...(odd.at && { at: odd.at }) } : undefined) ??
    evidence.sampled?.commands[0]
  )
}

/** Through what it may it: policies that give and take, by which groups; grants; what its peers use. */
export function ThroughPart({ page, onReplay }: { page: CampaignItemPage; onReplay: () => void }) {
  const { through, grants, peers, sampled } = page.evidence
  const now = Date.now()
  return (
    <>
      {sampled ? (
        <Part
          name="sampled"
          title="Uses that were drawn"
          more={`${figure(sampled.commands.length)} of ${figure(sampled.of)}`}
        >
          <Commands title="Drawn" commands={sampled.commands} onReplay={onReplay} />
        </Part>
      ) : null}
      {grants.length > 0 ? (
        <Part name="grants" title="Grants" more={figure(grants.length)}>
          <ul className={`${boxLook} py-1`}>
            {grants.map((grant) => (
              <li key={grant.grant}>
                <a
                  href={hashOf({ screen: 'access', id: grant.grant })}
                  className="flex min-h-[29px] items-center gap-4 px-4 -outline-offset-2 hover:bg-sunken"
                >
                  <span className="w-16 shrink-0 text-fine text-dim">{grant.state}</span>
                  <span className="min-w-0 flex-1 truncate">
                    {grant.actions.join(', ')}{' '}
                    <span className="text-dim">
                      · <VisibleText>{grant.purpose}</VisibleText>
                      {grant.approvedBy.length > 0 ? ` · by ${grant.approvedBy.join(', ')}` : ''}
                    </span>
                  </span>
                  <time className="shrink-0 text-fine text-dim tabular-nums">{dateAndClock(grant.at, now)}</time>
                </a>
              </li>
            ))}
          </ul>
        </Part>
      ) : null}
      {peers && peers.of > 0 ? (
        <Part name="peers" title="Its peers" more={`${many(peers.of, 'agent')} of the same groups`}>
          {peers.usedByPeers.length === 0 ? (
            <p className="text-fine text-dim">None of them used what it may, either.</p>
          ) : (
            <ul className="grid grid-cols-[repeat(auto-fill,minmax(240px,1fr))] gap-x-6 gap-y-0.5 text-fine">
              {peers.usedByPeers.slice(0, 30).map((each) => (
                <li key={`${each.action} ${each.resource}`} className="flex gap-2">
                  <span className="min-w-0 flex-1 truncate font-mono">
                    {each.action} <VisibleText>{each.resource}</VisibleText>
                  </span>
                  <span className="text-dim tabular-nums">
                    {figure(each.peers)} of {figure(peers.of)}
                  </span>
                </li>
              ))}
            </ul>
          )}
        </Part>
      ) : null}
      {through.length > 0 ? (
        <Part
          name="through"
          title="Through what it may it"
          more={`${many(through.length, 'policy', 'policies')}, groups expanded`}
        >
          <div className="flex flex-col gap-2">
            {through.map((each) => (
              <details key={each.policy} className={boxLook}>
                <summary className="flex cursor-default items-baseline gap-2.5 px-4 py-1.5 -outline-offset-2 hover:bg-sunken">
                  <Chip tone={each.effect === 'forbid' ? 'danger' : 'ok'}>{each.effect}</Chip>
                  <span className="min-w-0 flex-1 truncate">
                    <code className="font-mono text-fine">
                      <VisibleText>{each.policy}</VisibleText>
                    </code>{' '}
                    <span className="text-fine text-dim">
                      {each.file}
                      {each.group ? ` · as one of ${each.group}` : ''}
                      {each.reason ? ` · ${each.reason}` : ''}
                    </span>
                  </span>
                  <span className="shrink-0 text-fine text-dim">text</span>
                </summary>
                <div className="border-t border-line">
                  <CedarText text={each.text} />
                </div>
              </details>
            ))}
          </div>
        </Part>
      ) : null}
    </>
  )
}
