import type { CampaignItem } from '@countersign/contract/review'
import type { ReactNode } from 'react'

/** The foot of an item; as high as its buttons, so that what stands above never jumps. */
export function Foot({ item, children }: { item: CampaignItem; children: ReactNode }) {
  return (
    <section aria-label={`Decision on ${item.name}`} className="mx-7 border-t border-line py-3.5 max-lg:mx-4">
      <div className="min-h-[61px]">{children}</div>
    </section>
  )
}
