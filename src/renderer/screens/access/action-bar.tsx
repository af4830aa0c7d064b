import type { Grant } from '@countersign/contract/access'
import type { ReactNode } from 'react'
import { type Deed, forgetDeed, useDeeds } from '../../app/access.ts'
import { hashOf } from '../../app/route.ts'
import { useWorld } from '../../app/store.ts'
import { Button, Key } from '../../parts/basics.tsx'
import { Stages } from '../../parts/stages.tsx'
import { clock } from '../../parts/time.ts'
import { linkLook } from './grant-facts.tsx'
import { mayDo } from './words.ts'

interface Props {
  grant: Grant
  onExtend: () => void
  onRevoke: () => void
}

/** The foot of a grant: what can be done about it, how far that is, or why nothing can. */
export function ActionBar({ grant, onExtend, onRevoke }: Props) {
  const deed = useDeeds(({ deeds }) => deeds.get(grant.id))
  return (
    <section aria-label={`What to do about ${grant.id}`} className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
      {/* As high as its buttons: what stands above never jumps. */}
      <div className="flex min-h-9 flex-wrap items-center gap-2.5">
        <Said grant={grant} deed={deed} />
        {grant.state === 'requested' ? <Waits grant={grant} /> : null}
        <Offers grant={grant} deed={deed} onExtend={onExtend} onRevoke={onRevoke} />
      </div>
    </section>
  )
}

function Waits({ grant }: { grant: Grant }) {
  return (
    <Words>
      It waits for a decision.{' '}
      {grant.approval ? (
        <>
          <a className={linkLook} href={hashOf({ screen: 'queue', id: grant.approval })}>
            See its card
          </a>{' '}
          <Key>O</Key>
        </>
      ) : null}
    </Words>
  )
}

function Offers({ grant, deed, onExtend, onRevoke }: Props & { deed: Deed | undefined }) {
  const me = useWorld((world) => world.me)
  const link = useWorld((world) => world.link)
  const may = mayDo(grant, me)
  const waits = grant.state === 'requested'
  if (!waits && grant.state !== 'active') return deed ? null : <Words>Access is over; nothing is left to do.</Words>
  if (waits && !may.revoke) return null
  if (link.state !== 'live')
    return (
      <Words>
        Access can’t be {waits ? 'withdrawn' : 'extended or revoked'} offline
        {'since' in link ? `; there is no link since ${clock(link.since)}` : ''}.
      </Words>
    )
  if (!may.extend && !may.revoke) return <Words>Your role only looks at this.</Words>
  if (deed?.does === 'revoke' && deed.state !== 'refused') return null
  return (
    <>
      {may.extend ? (
        <Button tone="accent" onClick={onExtend}>
          Extend <Key>E</Key>
        </Button>
      ) : null}
      {may.revoke ? (
        <Button tone="danger" onClick={onRevoke}>
          {waits ? 'Withdraw' : 'Revoke'} <Key>X</Key>
        </Button>
      ) : null}
    </>
  )
}

function Words({ children }: { children: ReactNode }) {
  return <p className="text-dim">{children}</p>
}

/** sending → sent → applied; or refused, and why. */
function Said({ grant, deed }: { grant: Grant; deed: Deed | undefined }) {
  if (!deed) return null
  const made = deed.made ? (
    <a className={linkLook} href={hashOf({ screen: 'access', id: deed.made })}>
      See the new request
    </a>
  ) : null
  if (deed.state === 'refused')
    return (
      <div role="alert" className="flex w-full items-start gap-3 rounded-box bg-danger-pale px-3 py-2 text-danger">
        <span className="min-w-0 flex-1 break-words">
          <b className="font-semibold">{deed.does === 'revoke' ? 'Not revoked.' : 'Not extended.'}</b> {deed.problem}{' '}
          {made}
        </span>
        <button type="button" className="font-semibold underline" onClick={() => forgetDeed(grant.id)}>
          Understood
        </button>
      </div>
    )
  const applied =
    deed.does === 'revoke' ? grant.state !== 'active' && grant.state !== 'requested' : deed.made !== undefined
  return (
    <div role="status" className="flex flex-wrap items-center gap-x-4 gap-y-1">
      <b className="font-semibold">{deed.does === 'revoke' ? 'Revoke' : 'Extend'}</b>
      <Stages sent={deed.state === 'sent'} applied={applied} />
      {made}
    </div>
  )
}
