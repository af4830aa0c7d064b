import { Bot, Inbox, KeyRound, ListChecks, Scale, ScrollText, Settings2, ShieldCheck } from 'lucide-react'
import { type ReactNode, useEffect } from 'react'
import { waitingForMe } from '../screens/queue/arrange.ts'
import { reviews, unreviewed, useDuty } from './duty.ts'
import { overlaysForMe, usePolicy } from './policy.ts'
import { useWaitingItems } from './reviews.ts'
import { hashOf, type Route } from './route.ts'
import { useWorld } from './store.ts'

/** The screens there are. A narrow window shows their pictures only; the names stay for those who listen. */
export function Navigation({ route }: { route: Route }) {
  const waiting = useWorld((world) => waitingForMe(world.approvals, world.me))
  const alarms = useWorld((world) => world.witness.alarms.filter((alarm) => !alarm.acknowledged).length)
  const me = useWorld((world) => world.me)
  const emergencies = useDuty(
    ({ duty }) => unreviewed(duty.breakGlass).filter(({ person }) => person.id !== me?.id).length,
  )
  const overlays = usePolicy(({ view }) => overlaysForMe(view?.overlays ?? [], me))
  const items = useWaitingItems()
  useEffect(() => {
    document.title = waiting > 0 ? `(${waiting}) Countersign` : 'Countersign'
  }, [waiting])
  const at = route.screen === 'replay' ? 'sessions' : route.screen
  return (
    <nav aria-label="Screens" className="flex w-44 flex-col gap-0.5 border-r border-line p-[7px] pt-2.5 max-lg:w-14">
      <Item to={{ screen: 'queue' }} here={at === 'queue'} icon={<Inbox size={16} />} count={waiting}>
        Queue
      </Item>
      <Item to={{ screen: 'sessions' }} here={at === 'sessions'} icon={<ScrollText size={16} />}>
        Sessions
      </Item>
      <Item to={{ screen: 'reviews' }} here={at === 'reviews'} icon={<ListChecks size={16} />} count={items}>
        Reviews
      </Item>
      <Item to={{ screen: 'access' }} here={at === 'access'} icon={<KeyRound size={16} />}>
        Access
      </Item>
      <Item
        to={emergencies > 0 && reviews(me) ? { screen: 'agents', part: 'break-glass' } : { screen: 'agents' }}
        here={at === 'agents'}
        icon={<Bot size={16} />}
        emergencies={reviews(me) ? emergencies : 0}
      >
        Agents
      </Item>
      <Item
        to={overlays.failed + overlays.waiting > 0 ? { screen: 'policy', part: 'overlays' } : { screen: 'policy' }}
        here={at === 'policy'}
        icon={<Scale size={16} />}
        count={overlays.failed > 0 ? 0 : overlays.waiting}
        failed={overlays.failed}
      >
        Policy
      </Item>
      <Item to={{ screen: 'integrity' }} here={at === 'integrity'} icon={<ShieldCheck size={16} />} alarms={alarms}>
        Integrity
      </Item>
      <span className="flex-1" />
      <Item to={{ screen: 'settings' }} here={at === 'settings'} icon={<Settings2 size={16} />}>
        Settings
      </Item>
    </nav>
  )
}

function Item(props: {
  to: Route
  here: boolean
  icon: ReactNode
  count?: number
  alarms?: number
  emergencies?: number
  /** Overlays that are not what they were to be. */
  failed?: number
  children: string
}) {
  const look = props.here ? 'border-line bg-panel font-semibold text-ink' : 'border-transparent text-dim hover:text-ink'
  return (
    <a
      href={hashOf(props.to)}
      aria-current={props.here ? 'page' : undefined}
      title={props.children}
      className={`relative flex h-[33px] items-center rounded-box border px-2.5 max-lg:justify-center max-lg:px-0 ${look}`}
    >
      <span className="lg:hidden" aria-hidden="true">
        {props.icon}
      </span>
      <span className="max-lg:sr-only">{props.children}</span>
      {props.count ? (
        <span className="ml-auto min-w-[21px] rounded-full bg-accent-pale px-1.5 text-center text-tag leading-[18px] font-semibold text-accent max-lg:absolute max-lg:-top-1 max-lg:-right-1 max-lg:min-w-4 max-lg:px-1 max-lg:leading-4">
          {props.count > 999 ? '999+' : props.count}
          <span className="sr-only"> waiting for you</span>
        </span>
      ) : null}
      {props.emergencies ? (
        <span className="ml-auto min-w-[21px] rounded-full bg-danger-pale px-1.5 text-center text-tag leading-[18px] font-semibold text-danger max-lg:absolute max-lg:-top-1 max-lg:-right-1 max-lg:min-w-4 max-lg:px-1 max-lg:leading-4">
          {props.emergencies}
          <span className="sr-only"> uses of break-glass to review</span>
        </span>
      ) : null}
      {props.failed ? (
        <span className="ml-auto min-w-[21px] rounded-full bg-danger-pale px-1.5 text-center text-tag leading-[18px] font-semibold text-danger max-lg:absolute max-lg:-top-1 max-lg:-right-1 max-lg:min-w-4 max-lg:px-1 max-lg:leading-4">
          !<span className="sr-only"> an overlay failed</span>
        </span>
      ) : null}
      {props.alarms ? (
        <span className="ml-auto min-w-[21px] rounded-full bg-danger-pale px-1.5 text-center text-tag leading-[18px] font-semibold text-danger max-lg:absolute max-lg:-top-1 max-lg:-right-1 max-lg:min-w-4 max-lg:px-1 max-lg:leading-4">
          !<span className="sr-only"> the log needs a look</span>
        </span>
      ) : null}
    </a>
  )
}
