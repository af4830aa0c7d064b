import type { CampaignItem, Verdict } from '@countersign/contract/review'
import { core, say, useConsole } from '../../app/store.ts'
import type { Looked } from './looking.ts'
import { decidedWords, titleOf } from './words.ts'

/** Items for which a decision is on its way to the core: none is made twice, however often a key is pressed. */
const underWay = new Set<string>()

/**
 * Decides an item as it was shown: kept on this computer at once, sent as soon as that can be.
 * @throws Error in words
 */
export async function decideItem(
  item: CampaignItem,
  verdict: Verdict,
  said: { reason: string; policy?: string | undefined },
  looked: Looked | undefined,
): Promise<void> {
  if (underWay.has(item.id)) return
  underWay.add(item.id)
  try {
    const { campaign, id, revision } = item
    await core().call('decideItem', {
      ...{ campaign, item: id, verdict, revision, reason: said.reason },
      ...(said.policy !== undefined && { policy: said.policy }),
      ...(looked && { seconds: looked.seconds(), evidenceOpened: looked.parts().slice(0, 20) }),
    })
    const live = useConsole.getState().world?.link.state === 'live'
    say(`${titleOf(item)}: ${decidedWords[verdict]}${live ? '' : ', sent once the gateway is reached'}`)
  } finally {
    underWay.delete(item.id)
  }
}
