import type { Campaign, CampaignItem } from '@countersign/contract/review'

/**
 * Why something was not decided, said or moved, with a sentence that says what to do; with a conflict come the item and
 * the campaign as they are now, so that a console that was away can show what to choose from.
 */
export class DecisionRefused extends Error {
  override name = 'DecisionRefused'
  readonly code: 'not-found' | 'forbidden' | 'conflict' | 'invalid'
  readonly item: CampaignItem | undefined
  readonly campaign: Campaign | undefined
  constructor(
    code: DecisionRefused['code'],
    message: string,
    now: { item?: CampaignItem | undefined; campaign?: Campaign | undefined } = {},
  ) {
    super(message)
    this.code = code
    this.item = now.item
    this.campaign = now.campaign
  }
}
