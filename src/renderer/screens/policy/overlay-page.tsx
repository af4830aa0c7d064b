import type { Overlay, OverlayPage, Probe } from '@countersign/contract/review'
import { Check, CircleX } from 'lucide-react'
import { useMemo, useRef, useState } from 'react'
import { useAgents, useFetched } from '../../app/agents.ts'
import { useKeys } from '../../app/keys.ts'
import { usePolicy } from '../../app/policy.ts'
import { hashOf } from '../../app/route.ts'
import { core, say, useWorld } from '../../app/store.ts'
import { Button, CopyButton, Key, Notice } from '../../parts/basics.tsx'
import { CedarText } from '../../parts/cedar-text.tsx'
import { useNow } from '../../parts/clock.ts'
import { dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { Fact, factGrid, linkLook, Quoted } from '../access/grant-facts.tsx'
import { Section } from '../agents/parts.tsx'
import { OverlayDialog } from './overlay-dialog.tsx'
import { OverlayMark } from './overlay-mark.tsx'
import {
  type Does,
  deedsOf,
  fourEyes,
  loudFirst,
  type MayLine,
  mayLines,
  mayNot,
  verdictWords,
} from './overlay-words.ts'
import { figure, many } from './parts.tsx'

/** One that has only just come is answered by no key: it was meant for another one, or was a letter of a word. */
const READ_AT_LEAST_MS = 300

/** One overlay: what of the agent's access it takes, in words and in Cedar, who said so, and whether it holds. */
export function OverlayPagePart({ id }: { id: string }) {
  const head = usePolicy(({ view }) => view?.overlays.find((one) => one.id === id))
  const asked = useFetched(`overlay ${id} ${head?.state} ${head?.rollBack?.at}`, () => core().call('overlay', { id }))
  const page = asked.value?.overlay ?? undefined
  const overlay = head ?? page
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  const [asking, setAsking] = useState<Does | undefined>(undefined)
  const since = useRef({ id, at: performance.now() })
  if (since.current.id !== id) since.current = { id, at: performance.now() }
  const deeds = overlay ? deedsOf(overlay) : []
  const ask = (does: Does) =>
    overlay && live && deeds.includes(does) && mayNot(overlay, does, me) === undefined ? setAsking(does) : false
  const byKey = (does: Does) => (event: KeyboardEvent) => {
    if (event.repeat) return
    if (performance.now() - since.current.at < READ_AT_LEAST_MS)
      return say('This overlay has only just appeared. Look at it, then answer.')
    return ask(does)
  }
  useKeys({ a: byKey('apply'), d: byKey('reject'), u: byKey('roll-back') })
  if (!overlay)
    return asked.problem || asked.value ? (
      <Notice title="There is no such overlay here" role="status">
        <p>{asked.problem || 'It is not known to the gateway, or not for your role.'}</p>
      </Notice>
    ) : (
      <Notice title="Fetching the overlay…" role="status" />
    )
  return (
    <article aria-label={`Overlay ${overlay.number}`} className="@container flex min-h-0 min-w-0 flex-col">
      <div className="page-body overflow-y-auto px-7 pt-4 pb-5 max-lg:px-4">
        <h2 className="text-title font-semibold break-words">
          <VisibleText>{overlay.title}</VisibleText>
        </h2>
        <p className="text-dim">
          Overlay {overlay.number} · {overlay.kind === 'reduce' ? 'reduces' : 'revokes'} access to {overlay.connection}{' '}
          · <OverlayMark overlay={overlay} />
        </p>
        {overlay.state === 'failed' ? (
          <div role="alert" className="mt-3 rounded-box bg-danger-pale px-4 py-2.5 text-danger">
            <b className="font-semibold">
              It failed. {overlay.inForce ? 'It is still in force.' : 'It was taken out again: it is not enforced.'}
            </b>{' '}
            <VisibleText>{overlay.failedBecause ?? 'The gateway says nothing more.'}</VisibleText>
          </div>
        ) : null}
        {overlay.state === 'failed' ? <Probes probes={overlay.probes} /> : null}
        <Facts overlay={overlay} />
        <May overlay={overlay} page={page} problem={asked.problem} />
        <Section title="Beside the policy folder" more="as Cedar; nothing that permits is written">
          <div className="overflow-hidden rounded-box border border-line bg-panel">
            <CedarText text={overlay.policy} />
            <p className="flex items-center gap-1.5 border-t border-line px-4 py-1.5 text-fine text-dim">
              <span className="min-w-0 truncate">
                digest <span className="font-mono">{overlay.digest.slice(0, 16)}…</span>: whoever applies it says this
                one
              </span>
              <CopyButton text={overlay.policy} label="Copy the policy" />
            </p>
          </div>
        </Section>
        {overlay.state === 'failed' ? null : <Probes probes={overlay.probes} />}
      </div>
      <Bar overlay={overlay} deeds={deeds} onAsk={ask} />
      {asking ? <OverlayDialog overlay={overlay} does={asking} onClose={() => setAsking(undefined)} /> : null}
    </article>
  )
}

function Facts({ overlay }: { overlay: Overlay }) {
  const me = useWorld((world) => world.me)
  const agent = useAgents(({ agents }) => (overlay.agent ? agents.get(overlay.agent) : undefined))
  const now = useNow()
  const { proposed } = overlay
  return (
    <dl className={factGrid}>
      <Fact name="Whose">
        {overlay.agent ? (
          <a className={linkLook} href={hashOf({ screen: 'agents', id: overlay.agent })}>
            <VisibleText>{agent?.name ?? overlay.agent.replace(/^.*#/, '')}</VisibleText>
          </a>
        ) : (
          'Those to whom a rule gives access'
        )}
        <span className="text-dim"> on </span>
        {overlay.connection}
      </Fact>
      <Fact name="Decided">
        <VisibleText>{proposed.by?.name ?? 'By the campaign’s default, since nobody decided'}</VisibleText>{' '}
        <span className="text-dim">{dateAndClock(proposed.at, now)}</span>
        {proposed.reason ? (
          <>
            {' '}
            <Quoted>{proposed.reason}</Quoted>
          </>
        ) : null}
        {overlay.campaign ? (
          <>
            {' '}
            <a
              className={linkLook}
              href={hashOf({
                screen: 'reviews',
                id: overlay.campaign,
                ...(overlay.item !== undefined && { item: overlay.item }),
              })}
            >
              the item of the review
            </a>
          </>
        ) : null}
      </Fact>
      <Fact name="Four eyes">
        <VisibleText>{fourEyes(overlay, me)}</VisibleText>
      </Fact>
      {overlay.approved ? <SaidFact name="Applied" said={overlay.approved} /> : null}
      {overlay.rejected ? <SaidFact name="Rejected" said={overlay.rejected} /> : null}
      {overlay.rollBack ? <SaidFact name="Roll back asked" said={overlay.rollBack} /> : null}
      {overlay.rolledBack ? <SaidFact name="Rolled back" said={overlay.rolledBack} /> : null}
      {overlay.retired ? <SaidFact name="Retired" said={overlay.retired} /> : null}
    </dl>
  )
}

function SaidFact({ name, said }: { name: string; said: NonNullable<Overlay['approved']> }) {
  const now = useNow()
  return (
    <Fact name={name}>
      <VisibleText>{said.by.name}</VisibleText> <span className="text-dim">{dateAndClock(said.at, now)}</span>
      {said.reason ? (
        <>
          {' '}
          <Quoted>{said.reason}</Quoted>
        </>
      ) : null}
    </Fact>
  )
}

/** What the agent may before and after, as a difference one can read. */
function May(props: { overlay: Overlay; page: OverlayPage | undefined; problem: string }) {
  const { overlay, page } = props
  const [all, setAll] = useState(false)
  const lines = useMemo(() => (page ? mayLines(page) : undefined), [page])
  const over = overlay.state === 'rejected' || overlay.state === 'rolled-back' || overlay.state === 'retired'
  if (!lines)
    return page || props.problem ? (
      <Section title="What it may, before and after">
        <p className="text-dim">{props.problem || (page?.notes ?? []).join(' ') || 'It can’t be told for this one.'}</p>
      </Section>
    ) : null
  const { changed, same } = lines
  return (
    <Section
      title={over ? 'What it may, without it and with it' : 'What it may, before and after'}
      more={`${changed.length === 0 ? 'nothing differs' : many(changed.length, 'difference')}, ${figure(same.length)} the same`}
    >
      <div className="overflow-x-auto rounded-box border border-line bg-panel">
        <table className="w-full text-left text-fine">
          <thead className="text-dim">
            <tr className="border-b border-line">
              <th scope="col" className="px-4 py-1.5 font-normal">
                Action
              </th>
              <th scope="col" className="px-2 py-1.5 font-normal">
                On
              </th>
              <th scope="col" className="px-2 py-1.5 font-normal">
                {over ? 'Without' : 'Before'}
              </th>
              <th scope="col" className="px-4 py-1.5 font-normal">
                {over ? 'With' : 'After'}
              </th>
            </tr>
          </thead>
          <tbody>
            {[...changed, ...(all ? same : [])].map((line) => (
              <MayRow key={`${line.action} ${line.resource}`} line={line} />
            ))}
          </tbody>
        </table>
        {same.length > 0 ? (
          <button
            type="button"
            aria-expanded={all}
            onClick={() => setAll(!all)}
            className="w-full border-t border-line px-4 py-1.5 text-left text-fine text-dim -outline-offset-2 hover:text-ink"
          >
            {all ? 'Only what differs' : `${many(same.length, 'line')} that stay the same`}
          </button>
        ) : null}
      </div>
      {(page?.notes ?? []).map((note) => (
        <p key={note} className="mt-1.5 text-fine text-dim">
          {note}
        </p>
      ))}
    </Section>
  )
}

function MayRow({ line }: { line: MayLine }) {
  const differs = line.before !== line.after
  const sign = differs ? (line.after === 'deny' ? '−' : '~') : ''
  return (
    <tr>
      <td className="px-4 py-0.5 font-mono whitespace-nowrap">
        <span aria-hidden className={`mr-1.5 inline-block w-2 ${line.after === 'deny' ? 'text-danger' : 'text-warn'}`}>
          {sign}
        </span>
        {line.action}
      </td>
      <td className="px-2 py-0.5 font-mono whitespace-nowrap">
        <VisibleText>{line.resource}</VisibleText>
      </td>
      <td className={`px-2 py-0.5 whitespace-nowrap ${differs ? 'text-dim line-through' : 'text-dim'}`}>
        {verdictWords[line.before] ?? line.before}
      </td>
      <td
        className={`px-4 py-0.5 whitespace-nowrap ${differs ? `font-semibold ${line.after === 'deny' ? 'text-danger' : 'text-warn'}` : 'text-dim'}`}
      >
        {verdictWords[line.after] ?? line.after}
      </td>
    </tr>
  )
}

/** What the gate answered when it was asked whether the overlay does what it says; what it got wrong first. */
function Probes({ probes }: { probes: readonly Probe[] }) {
  const [all, setAll] = useState(false)
  const loud = loudFirst(probes)
  const failed = probes.filter(({ ok }) => !ok).length
  if (probes.length === 0) return null
  const shown = all ? loud : loud.slice(0, Math.max(8, failed))
  return (
    <Section
      title="Asked of the gate"
      more={
        failed > 0
          ? `${failed} of ${many(probes.length, 'answer')} are wrong`
          : `${many(probes.length, 'answer')}, all as they should be`
      }
    >
      <ul className="rounded-box border border-line bg-panel py-1 text-fine">
        {shown.map((probe, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the same may be asked twice
          <li key={i} className={`flex items-baseline gap-3 px-4 py-0.5 ${probe.ok ? '' : 'bg-danger-pale'}`}>
            {probe.ok ? (
              <Check size={12} className="shrink-0 self-center text-ok" aria-hidden />
            ) : (
              <CircleX size={12} className="shrink-0 self-center text-danger" aria-hidden />
            )}
            <span className="sr-only">{probe.ok ? 'right: ' : 'wrong: '}</span>
            <span className="min-w-0 flex-1 font-mono break-words">
              <VisibleText>{`${probe.action} ${probe.kind}${probe.bounded === false ? ', every row,' : ''}${probe.shell ? ', through the shell,' : ''} ${probe.resource}`}</VisibleText>
            </span>
            <span className="shrink-0 text-dim">
              {probe.expect === 'deny' ? 'is to be denied' : `is to stay ${answerWords[probe.before] ?? probe.before}`}
            </span>
            <span className={`w-24 shrink-0 text-right ${probe.ok ? 'text-ok' : 'font-semibold text-danger'}`}>
              {answerWords[probe.got] ?? probe.got}
            </span>
          </li>
        ))}
      </ul>
      {loud.length > shown.length ? (
        <button type="button" className={`mt-1.5 text-fine ${linkLook}`} onClick={() => setAll(true)}>
          {loud.length - shown.length} more
        </button>
      ) : null}
    </Section>
  )
}

const answerWords: Record<string, string> = { allow: 'allowed', hold: 'held', deny: 'denied' }
const names: Record<Does, string> = { apply: 'Apply', reject: 'Reject', 'roll-back': 'Roll back', retire: 'Retire' }
const keyNames: Record<Does, string> = { apply: 'A', reject: 'D', 'roll-back': 'U', retire: '' }

function Bar({ overlay, deeds, onAsk }: { overlay: Overlay; deeds: readonly Does[]; onAsk: (does: Does) => unknown }) {
  const me = useWorld((world) => world.me)
  const live = useWorld((world) => world.link.state === 'live')
  if (deeds.length === 0) return null
  const offered = deeds.filter((does) => mayNot(overlay, does, me) === undefined)
  const why = deeds.map((does) => mayNot(overlay, does, me)).find((words) => words !== undefined)
  return (
    <section aria-label="What to do about it" className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
      <div className="flex min-h-9 flex-wrap items-center gap-2.5">
        {live ? (
          <>
            {why ? <p className="min-w-0 flex-1 text-dim">{why}</p> : <span className="flex-1" />}
            {[...offered].reverse().map((does) => (
              <Button key={does} tone={does === 'apply' ? 'accent' : 'danger'} onClick={() => onAsk(does)}>
                {overlay.state === 'failed' && does === 'apply'
                  ? 'Apply again'
                  : overlay.rollBack && does === 'roll-back'
                    ? 'Roll back, as asked'
                    : overlay.rollBack && does === 'reject'
                      ? 'Keep it in force'
                      : names[does]}{' '}
                <Key>{keyNames[does]}</Key>
              </Button>
            ))}
          </>
        ) : (
          <p className="text-dim">Nothing can be applied offline: what the gateway enforces now isn’t known here.</p>
        )}
      </div>
    </section>
  )
}
