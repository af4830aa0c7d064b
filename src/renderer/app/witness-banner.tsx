import { TriangleAlert } from 'lucide-react'
import { alarmWords } from '../screens/integrity/words.ts'
import { hostOf } from './header.tsx'
import { hashOf } from './route.ts'
import { useWorld } from './store.ts'

/** Over every screen while a gateway did with its log what no honest one does, until somebody has acknowledged it. */
export function WitnessBanner() {
  const alarms = useWorld((world) => world.witness.alarms)
  const open = alarms.filter((alarm) => !alarm.acknowledged)
  const [first] = open
  // Always there, so that screen readers notice what comes into it.
  return (
    <div role="alert">
      {first ? (
        <div className="flex items-center gap-3 border-b border-danger bg-danger-pale px-4 py-2 text-danger">
          <TriangleAlert size={16} className="shrink-0" aria-hidden />
          <p className="min-w-0 flex-1">
            <b className="font-semibold">{alarmWords[first.kind]}.</b> {hostOf(first.gateway)}: don’t rely on its
            evidence before somebody has looked into it.
            {open.length > 1 ? ` ${open.length - 1} more of its kind.` : ''}
          </p>
          <a
            href={hashOf({ screen: 'integrity', id: `alarm:${first.id}` })}
            className="shrink-0 rounded-tag font-semibold underline underline-offset-2"
          >
            See both sides
          </a>
        </div>
      ) : null}
    </div>
  )
}
