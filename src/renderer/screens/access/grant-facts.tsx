import type { Grant } from '@countersign/contract/access'
import { Fragment, type ReactNode } from 'react'
import { secondsOf, span } from '../../../span.ts'
import { useAccess } from '../../app/access.ts'
import { hostOf } from '../../app/header.tsx'
import { hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Chip, EnvironmentTag } from '../../parts/basics.tsx'
import { useNow } from '../../parts/clock.ts'
import { clock, dateAndClock } from '../../parts/time.ts'
import { VisibleText } from '../../parts/visible-text.tsx'
import { protocolName } from '../queue/words.ts'
import { BreakGlassMark, StateMark } from './state-mark.tsx'
import { actionWords, doerWords } from './words.ts'

export const factGrid = 'mt-4 grid grid-cols-[118px_minmax(0,1fr)] gap-y-2 max-lg:grid-cols-[92px_minmax(0,1fr)]'

export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <>
      <dt className="text-dim">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </>
  )
}

export function Quoted({ children }: { children: string }) {
  return (
    <q className="inline-block max-w-full rounded-tag bg-sunken px-2 break-words">
      <VisibleText>{children}</VisibleText>
    </q>
  )
}

export const linkLook = 'rounded-tag font-semibold text-accent underline underline-offset-2'

/** Who, why, where, what, how long, by whom, and how it ended: the record of one grant. */
export function GrantFacts({ grant }: { grant: Grant }) {
  const me = useWorld((world) => world.me)
  const connection = useAccess(({ connections }) => connections.get(grant.connection))
  const now = useNow()
  const asked = secondsOf(grant.duration)
  return (
    <dl className={factGrid}>
      <Fact name="Who">
        <Identity grant={grant} />
      </Fact>
      <Fact name="Says why">
        <Quoted>{grant.purpose}</Quoted>
      </Fact>
      <Fact name="Where">
        {grant.connectionTags.map((tag) => (
          <Fragment key={tag}>
            <EnvironmentTag tag={tag} />{' '}
          </Fragment>
        ))}
        <span className="ml-0.5">{grant.connection}</span>
        {connection ? <span className="text-dim"> · {protocolName(connection.kind)}</span> : null}
        {connection?.access === 'standing' ? (
          <span className="text-dim"> · takes sessions without a grant, too, where policy lets them</span>
        ) : null}
        {connection?.freeze ? (
          <>
            {' '}
            <Chip tone="danger" title={connection.freeze.reason}>
              frozen: takes no sessions now
            </Chip>
          </>
        ) : null}
      </Fact>
      <Fact name="May">
        <Actions actions={grant.actions} />
      </Fact>
      <Fact name="On">
        <Resources grant={grant} />
      </Fact>
      <Fact name="How long">
        {span(grant.seconds)}
        {asked !== undefined && asked > grant.seconds ? (
          <span className="text-dim"> · shortened by who approved it; {span(asked)} were asked for</span>
        ) : null}
      </Fact>
      <Fact name="Asked">
        {dateAndClock(grant.requestedAt, now)}
        <span className="text-dim"> by </span>
        <VisibleText>{doerWords(grant.requestedBy, me)}</VisibleText>
        {grant.requestedBy.kind === 'person' ? <span className="text-dim">, a person, for this agent</span> : null}
      </Fact>
      <Extensions grant={grant} />
      <Fact name={{ requested: 'Held by', denied: 'Denied by' }[grant.state as string] ?? 'Decided by'}>
        <Decided grant={grant} />
      </Fact>
      {grant.endedAt && grant.state !== 'denied' ? (
        <Fact name="Ended">
          <StateMark grant={grant} /> {dateAndClock(grant.endedAt, now)}
          {grant.endedBy ? (
            <>
              <span className="text-dim"> by </span>
              <VisibleText>{doerWords(grant.endedBy, me)}</VisibleText>
            </>
          ) : null}
          {grant.endedBecause ? (
            <>
              {': '}
              <VisibleText>{grant.endedBecause}</VisibleText>
            </>
          ) : null}
        </Fact>
      ) : null}
    </dl>
  )
}

/** The agent, on whose behalf, whose it is, and who vouched for it. */
export function Identity({ grant: { identity } }: { grant: Pick<Grant, 'identity'> }) {
  const outer = [
    [' for ', identity.onBehalfOf],
    [' · owner ', identity.owner],
    [' · through ', identity.chain?.join(' → ')],
  ] as const
  return (
    <>
      <b className="font-semibold">
        <VisibleText>{identity.name}</VisibleText>
      </b>
      {outer.map(([word, value]) =>
        value ? (
          <Fragment key={word}>
            {word}
            <VisibleText>{value}</VisibleText>
          </Fragment>
        ) : null,
      )}
      {' · signed in by '}
      <span title={identity.id} className="whitespace-nowrap">
        <VisibleText>{hostOf(identity.issuer)}</VisibleText>
      </span>
    </>
  )
}

/** Each action with what it means. */
export function Actions({ actions }: { actions: readonly string[] }) {
  return (
    <ul className="flex flex-col gap-0.5">
      {actions.map((name) => {
        const { says, grave } = actionWords(name)
        return (
          <li key={name}>
            {says ? <span className={grave ? 'font-semibold text-warn' : ''}>{says} </span> : null}
            <code className="text-fine text-dim">
              <VisibleText>{name}</VisibleText>
            </code>
          </li>
        )
      })}
    </ul>
  )
}

/** All of the connection, or what was named: whole, however many. */
export function Resources({ grant }: { grant: Pick<Grant, 'resources' | 'connection'> }) {
  if (!grant.resources) return <>all of {grant.connection}</>
  return (
    <ul
      className="flex max-h-40 flex-wrap gap-x-3 gap-y-0.5 overflow-y-auto"
      tabIndex={grant.resources.length > 24 ? 0 : undefined}
    >
      {grant.resources.map((resource) => (
        <li key={resource} className="min-w-0">
          <code className="text-fine break-all">
            <VisibleText>{resource}</VisibleText>
          </code>
        </li>
      ))}
    </ul>
  )
}

function Decided({ grant }: { grant: Grant }) {
  const me = useWorld((world) => world.me)
  const approval = useWorld((world) => (grant.approval === undefined ? undefined : world.approvals.get(grant.approval)))
  const now = useNow()
  const no = grant.state === 'denied' ? approval?.decisions.findLast(({ verdict }) => verdict === 'deny') : undefined
  return (
    <div className="flex flex-col gap-1">
      {grant.approvedBy.map(({ person, personId, reason, at }) => {
        const told = approval?.decisions.find((each) => each.personId === personId && each.verdict === 'approve')
        return (
          <div key={personId}>
            <b className="font-semibold">
              <VisibleText>{personId === me?.id ? 'you' : person}</VisibleText>
            </b>{' '}
            approved, {dateAndClock(at, now)}
            {told?.inPlaceOf?.length ? (
              <>
                {' in place of '}
                <VisibleText>{told.inPlaceOf.join(', ')}</VisibleText>
              </>
            ) : null}
            {reason ? (
              <>
                {': '}
                <Quoted>{reason}</Quoted>
              </>
            ) : null}
          </div>
        )
      })}
      {grant.breakGlass ? (
        <div>
          <BreakGlassMark words="break-glass: alone, in an emergency" />
        </div>
      ) : null}
      {no ? (
        <div>
          <b className="font-semibold">
            <VisibleText>{no.personId === me?.id ? 'you' : no.person}</VisibleText>
          </b>
          , {dateAndClock(no.at, now)}
          {no.reason ? (
            <>
              {': '}
              <Quoted>{no.reason}</Quoted>
            </>
          ) : (
            ', without a reason'
          )}
        </div>
      ) : grant.state === 'denied' && grant.endedBecause ? (
        <div>
          <VisibleText>{grant.endedBecause}</VisibleText>
        </div>
      ) : null}
      {grant.policies.length > 0 ? (
        <div className="text-dim">
          {grant.policies.length === 1 ? 'policy ' : 'policies '}
          {grant.policies.map((policy, i) => (
            <Fragment key={policy}>
              {i > 0 ? ', ' : ''}
              <code className="text-fine">{policy}</code>
            </Fragment>
          ))}
          {grant.approvedBy.length === 0 && grant.activeFrom ? ' gave it at once' : ''}
        </div>
      ) : null}
      {grant.approval ? (
        <div>
          <a className={linkLook} href={hashOf({ screen: 'queue', id: grant.approval })}>
            {grant.state === 'requested' ? 'Its card in the Queue' : 'The card it was decided on'}
          </a>
        </div>
      ) : null}
    </div>
  )
}

/** What it prolongs, and what prolongs it. */
function Extensions({ grant }: { grant: Grant }) {
  const by = useAccess(({ grants }) => extensionsOf(grants).get(grant.id))
  const before = useAccess(({ grants }) => (grant.extends === undefined ? undefined : grants.get(grant.extends)))
  const link = (id: string, words: string) => (
    <a key={id} className={linkLook} href={hashOf({ screen: 'access', id })}>
      {words}
    </a>
  )
  if (!grant.extends && !by) return null
  return (
    <>
      {grant.extends ? (
        <Fact name="Extends">
          {link(
            grant.extends,
            before ? `the one until ${clock(before.endedAt ?? before.expiresAt ?? before.requestedAt)}` : grant.extends,
          )}
        </Fact>
      ) : null}
      {by ? (
        <Fact name="Extended by">
          {by.map((one, i) => (
            <Fragment key={one.id}>
              {i > 0 ? ', ' : ''}
              {link(one.id, one.state === 'requested' ? 'a request that waits' : `one that is ${one.state}`)}
              {one.expiresAt && one.state === 'active' ? ` until ${clock(one.expiresAt)}` : ''}
            </Fragment>
          ))}
        </Fact>
      ) : null}
    </>
  )
}

let extensions: { of: ReadonlyMap<string, Grant>; by: Map<string, Grant[]> } | undefined

/** What prolongs each grant; made once for all of them. */
function extensionsOf(grants: ReadonlyMap<string, Grant>): Map<string, Grant[]> {
  if (extensions?.of === grants) return extensions.by
  const by = new Map<string, Grant[]>()
  for (const grant of grants.values()) {
    if (grant.extends === undefined) continue
    const others = by.get(grant.extends)
    if (others) others.push(grant)
    else by.set(grant.extends, [grant])
  }
  extensions = { of: grants, by }
  return by
}
