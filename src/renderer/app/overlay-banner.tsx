import { TriangleAlert } from 'lucide-react'
import { VisibleText } from '../parts/visible-text.tsx'
import { usePolicy } from './policy.ts'
import { hashOf } from './route.ts'

/** Over every screen while an overlay failed: what was decided of an agent's access is not what the gateway enforces. */
export function OverlayBanner() {
  const overlays = usePolicy(({ view }) => view?.overlays)
  const [first, ...others] = overlays?.filter(({ state }) => state === 'failed') ?? []
  // Always there, so that screen readers notice what comes into it.
  return (
    <div role="alert">
      {first ? (
        <div className="flex items-center gap-3 border-b border-danger bg-danger-pale px-4 py-1.5 text-danger">
          <TriangleAlert size={16} className="shrink-0" aria-hidden />
          <p className="min-w-0 flex-1 truncate">
            <b className="font-semibold">
              Overlay {first.number} failed: <VisibleText>{first.title}</VisibleText>.
            </b>{' '}
            {first.inForce ? 'It is still in force. ' : 'It is not enforced. '}
            <VisibleText>{first.failedBecause ?? ''}</VisibleText>
            {others.length > 0 ? ` ${others.length} more failed, too.` : ''}
          </p>
          <a
            href={hashOf({ screen: 'policy', part: 'overlays', id: first.id })}
            className="shrink-0 rounded-tag font-semibold underline underline-offset-2"
          >
            See it
          </a>
        </div>
      ) : null}
    </div>
  )
}
